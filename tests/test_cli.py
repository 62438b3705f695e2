"""The console script, as an operator runs it."""

import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.cli import commands
from app.cli.serving import welcome
from app.config import AuthProvider, Config, ConfigError
from app.domain.names import Address, tenant_id
from app.store import roles, schema
from tests.roles import PASSWORD, applied, connected, drop, login, names_for, owner
from tests.services.reporting import issue, report

TIDEMARK = str(Path(sys.executable).parent / "tidemark")
ADDRESS = Address(tenant_id("default"), "demo", "orders", "billing")


def tidemark(url: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": url, **environment}
    return subprocess.run([TIDEMARK, *arguments], env=env, capture_output=True, text=True, timeout=60)


def test_db_upgrade_brings_an_empty_database_up_and_check_says_so(empty_database: str) -> None:
    refused = tidemark(empty_database, "db", "check")
    assert (refused.returncode, "migrated: FAILED" in refused.stdout) == (1, True)
    upgraded = tidemark(empty_database, "db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    checked = tidemark(empty_database, "db", "check")
    assert checked.returncode == 0
    assert set(checked.stdout.split("\n")) >= {"database: ok", "migrated: ok", "primary: ok", "fsync: ok"}


def test_what_needs_the_schema_says_that_it_is_missing(empty_database: str) -> None:
    for command in (["serve"], ["keys", "list"]):
        refused = tidemark(empty_database, *command)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "tidemark db upgrade" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_keys_are_created_listed_and_revoked(clone: str) -> None:
    created = tidemark(clone, "keys", "create", "--tenant", "acme", "--name", "ci", "--role", "write")
    assert created.stdout.startswith("tmk_")
    assert created.stdout.count("\n") == 1
    listed = tidemark(clone, "keys", "list", "--tenant", "acme")
    assert listed.stdout.split()[1:] == ["write", "-", "-", "ci"]
    again = tidemark(clone, "keys", "create", "--tenant", "acme", "--name", "ci")
    assert (again.returncode, again.stdout) == (1, "")
    assert "'ci' exists" in again.stderr
    assert tidemark(clone, "keys", "revoke", "--tenant", "acme", "--name", "ci").returncode == 0
    none_left = tidemark(clone, "keys", "list", "--tenant", "acme")
    assert (none_left.returncode, none_left.stdout) == (0, "")
    assert none_left.stderr == "The tenant acme has no keys.\n"
    assert "Unknown API key 'ci'" in tidemark(clone, "keys", "revoke", "--tenant", "acme", "--name", "ci").stderr
    assert tidemark(clone, "tenants", "create", "acme").stderr == "tidemark: A tenant named 'acme' exists\n"


def test_maintain_rolls_up_and_says_so(clone: str, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=1)
    maintained = tidemark(clone, "maintain")
    assert (maintained.returncode, maintained.stderr) == (0, "")
    assert re.fullmatch(r"Rolled up: hours [12], days [01]\. Packed: nothing\. Dropped: nothing\.\n", maintained.stdout)
    with clone_engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT sum(observations) FROM connector_hourly")) == 1
        assert connection.scalar(
            sa.text("SELECT to_regclass('observation_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'))")
        )


def lines(shown: subprocess.CompletedProcess[str]) -> list[str]:
    """What was printed, its times and what else is different each time replaced by what they are."""
    assert (shown.returncode, shown.stderr) == (0, "")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", shown.stdout)
    return re.sub(r"[\d,.]+(?= s\b| records/s)", "N", text).splitlines()


def test_token_show_tells_why_a_token_is_not_done_yet(clone: str, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received={"0": 100, "1": 9}, completed={"0": 50}, epoch="run-1")
    token = str(issue(clone_engine, ADDRESS, "ci"))
    issued = "issued     TIME by ci, in epoch 1 (run-1)"
    connector = "connector  orders.billing of pipeline demo, tenant default"
    assert lines(tidemark(clone, "token", "show", token)) == [
        "status     inprogress",
        "why        2 further reports are needed to bind it to a position.",
        connector,
        issued,
        "waits for  version 3 to be completed; version 0 is, the newest is 1",
        "reports    running, moving; the newest is of TIME",
        "eta        not known",
    ]
    for version in (1, 2):
        report(clone_engine, ADDRESS, version, received={"0": 100, "1": 9}, completed={"0": 88}, epoch="run-1")
    assert lines(tidemark(clone, "token", "show", token)) == [
        "status     inprogress",
        "why        Nobody knows how many records are still to be completed.",
        connector,
        issued,
        "waits for  version 3 to be completed; version 0 is, the newest is 3",
        "reports    running, moving; the newest is of TIME",
        "position   that of version 3, first recorded N s ago",
        "missing    component  needed  reached  missing",
        "           1               9        ?        ?",
        "           0             100       88       12",
        "rate       N records/s: 38 from TIME to TIME",
        "eta        not known",
    ]


def test_token_show_tells_when_a_token_was_done_and_why_it_never_will_be(clone: str, clone_engine: sa.Engine) -> None:
    for version in range(3):
        report(clone_engine, ADDRESS, version, received=1, completed=1)
        if version == 0:
            done = str(issue(clone_engine, ADDRESS, "ci"))
    lost = str(issue(clone_engine, ADDRESS, "ci"))
    report(clone_engine, ADDRESS, 3, received=0, completed=0, epoch="b")
    shown = lines(tidemark(clone, "token", "show", done))
    assert shown[0] == "status     complete"
    assert shown[-1] == "completed  after TIME, by TIME"
    shown = lines(tidemark(clone, "token", "show", lost))
    assert shown[0] == "status     lost (PipelineRestarted)"
    assert shown[1].startswith("why        The token belongs to epoch 1 of its connector, which ended before")
    assert len(shown) == 5


@pytest.mark.parametrize("token", ["nonsense", "ct1_" + "a" * 52])
def test_token_show_refuses_what_is_no_token(clone: str, token: str) -> None:
    refused = tidemark(clone, "token", "show", str(token))
    assert refused.returncode == 1
    assert token not in refused.stderr
    assert "token" in refused.stderr.lower()


def test_a_bad_setting_stops_the_start_by_its_name(clone: str) -> None:
    for name, value in (("PORT", "x"), ("AUTH_PROVIDER", "basic"), ("HOST", "0.0.0.0")):
        refused = tidemark(clone, "serve", **{name: value})
        assert (refused.returncode, refused.stdout) == (1, "")
        assert name in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", ["keys create --name ci", "db check", "db upgrade", "serve"])
def test_an_unreachable_database_is_told_with_the_reason_and_without_the_password(command: str) -> None:
    refused = tidemark("postgresql://user:secret@127.0.0.1:1/x", *command.split())
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Connection refused" in refused.stderr
    assert "secret" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_address_that_is_taken_is_told_of_and_nobody_else_is_taken_for_the_server(
    clone: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = tidemark(clone, "run", DEMO="0", PORT=port, DATA_DIRECTORY=str(tmp_path))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "PORT: Address already in use" in refused.stderr
    assert "Tidemark is at" not in refused.stderr


def test_an_installation_without_the_migrations_says_how_it_is_to_be_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path / "migrations")
    with pytest.raises(ConfigError, match="pip install --editable"):
        commands(["db", "upgrade"], standalone_mode=False)


def test_a_module_of_an_extra_that_is_not_installed_is_named(clone: str, tmp_path: Path) -> None:
    (tmp_path / "nats.py").write_text("raise ModuleNotFoundError('as if it were not there', name='nats')")
    (tmp_path / "collect.toml").write_text(
        '[[nats]]\npipeline = "p"\nurl = "nats://127.0.0.1:1"\nconnectors = [{ stream = "s", consumer = "c" }]\n'
    )
    command = ["collect", "--config", str(tmp_path / "collect.toml")]
    refused = tidemark(clone, *command, PYTHONPATH=str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        "tidemark: the module nats is not installed: pip install --editable '.[demo,embedded,nats]'"
    )
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("provider", AuthProvider)
def test_the_welcome_says_what_a_request_needs(provider: AuthProvider) -> None:
    told = welcome(Config(auth_provider=provider), demo=True)
    assert "curl" in told
    assert ("keys create" in told) == ("Authorization: Bearer" in told) == (provider is not AuthProvider.NONE)


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = tidemark("", "tenants", "list", DATA_DIRECTORY=str(tmp_path / "file"))
    assert refused.returncode == 1
    assert refused.stderr == f"tidemark: {tmp_path / 'file' / 'postgres'}: Not a directory\n"


def test_gunicorn_by_hand_does_not_serve_everybody_either(clone: str) -> None:
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": clone, "HOST": "0.0.0.0"}
    gunicorn = str(Path(TIDEMARK).parent / "gunicorn")
    root = Path(__file__).parents[1]
    command = [gunicorn, "-c", "deploy/gunicorn.conf.py", "wsgi:app"]
    refused = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0
    assert "AUTH_PROVIDER" in refused.stderr


@pytest.mark.parametrize("options", [["--name", ""], ["--name", "a/b"], ["--name", "ci", "--tenant", "a b"]])
def test_a_name_that_no_key_or_tenant_can_have_is_refused(clone: str, options: list[str]) -> None:
    refused = tidemark(clone, "keys", "create", *options)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "name: use" in refused.stderr


def started(url: str, *arguments: str) -> subprocess.Popen[str]:
    """The command, once it has said what it waits for."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
    command = subprocess.Popen(
        [TIDEMARK, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stderr is not None
    assert (
        command.stderr.readline()
        == "1 s: demo/orders.billing: 2 further reports are needed to bind it to a position.\n"
    )
    return command


def test_token_wait_waits_until_the_token_is_complete(clone: str, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=1)
    token = str(issue(clone_engine, ADDRESS, "ci"))
    waiting = started(clone, "token", "wait", token)
    for version in (1, 2):
        report(clone_engine, ADDRESS, version, received=1, completed=1)
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (0, f"{token}  complete\n")


def test_token_wait_says_what_it_was_that_never_comes(clone: str, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=1, epoch="a")
    token = str(issue(clone_engine, ADDRESS, "ci"))
    waiting = started(clone, "token", "wait", token)
    report(clone_engine, ADDRESS, 1, received=0, completed=0, epoch="b")
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out.partition(":")[0]) == (1, f"{token}  lost (PipelineRestarted)")


def test_token_wait_waits_for_all_or_any_and_for_so_long(clone: str, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=1)
    done = str(issue(clone_engine, ADDRESS, "ci"))
    for version in (1, 2):
        report(clone_engine, ADDRESS, version, received=1, completed=1)
    late = str(issue(clone_engine, ADDRESS, "ci"))
    waited = tidemark(clone, "token", "wait", done, late, "--timeout", "1.2")
    assert (waited.returncode, waited.stdout) == (2, f"{done}  complete\n{late}  inprogress\n")
    assert (
        waited.stderr
        == "1 s: 1 of 2 done; demo/orders.billing: 2 further reports are needed to bind it to a position.\n"
    )
    waited = tidemark(clone, "token", "wait", done, late, "--any")
    assert (waited.returncode, waited.stderr) == (0, "")
    waited = tidemark(clone, "token", "wait", late, "--timeout", "0")
    assert (waited.returncode, waited.stdout) == (2, f"{late}  inprogress\n")


def test_token_wait_on_a_terminal_has_one_line(clone: str, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=1)
    token = str(issue(clone_engine, ADDRESS, "ci"))
    terminal, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": clone, "COLUMNS": "40"}
    waited = subprocess.run([TIDEMARK, "token", "wait", token, "--timeout", "2.5"], env=environment, stderr=theirs)
    assert waited.returncode == 2
    shown = os.read(terminal, 10_000).decode().split("\r\x1b[K")
    assert shown == ["", *(f"{n} s: demo/orders.billing: 2 further rep" for n in (1, 2)), ""]
    for each in (terminal, theirs):
        os.close(each)


@pytest.mark.parametrize(
    ("token", "why"), [("nonsense", "not a completion token"), ("ct1_" + "a" * 52, "not a completion token")]
)
def test_token_wait_ends_with_1_for_what_is_no_token(clone: str, token: str, why: str) -> None:
    waited = tidemark(clone, "token", "wait", token)
    assert (waited.returncode, waited.stdout) == (1, "")
    assert why in waited.stderr


def test_db_roles_prints_the_statements_that_it_applies(clone: str) -> None:
    names = names_for(clone)
    options = ["--app", names.app, "--reporting", names.reporting]
    printed = tidemark(clone, "db", "roles", *options)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert f"CREATE POLICY app ON public.connector TO {names.app} USING (true);\n" in printed.stdout
    with owner(clone) as connection:
        assert roles.installed(connection) is None
    try:
        applied = tidemark(clone, "db", "roles", *options, "--apply", APP_PASSWORD=PASSWORD)
        assert applied.returncode == 0, applied.stderr
        app = login(clone, names.app)
        assert "role: ok" in tidemark(app, "db", "check", REQUIRE_APP_ROLE="1").stdout
        assert "InsufficientPrivilege" in tidemark(app, "db", "roles", *options, "--apply").stderr
    finally:
        drop(clone, names)


def test_too_strong_a_role_is_told_of_and_refused_where_the_app_s_is_required(clone: str) -> None:
    told = tidemark(clone, "db", "check")
    assert (told.returncode, "role: stronger than need be" in told.stdout) == (0, True)
    refused = tidemark(clone, "serve", REQUIRE_APP_ROLE="1")
    assert refused.returncode != 0
    assert re.search("its role .*owns tables.*REQUIRE_APP_ROLE=1", refused.stderr)


def test_analysts_are_granted_listed_and_revoked(clone: str) -> None:
    with applied(clone) as names:
        role = names.app.replace("app", "ana")
        granted = tidemark(clone, "reporting", "grant", "--tenant", "default", "--role", role)
        assert granted.returncode == 0, granted.stderr
        with connected(login(clone, role, granted.stdout.strip())) as connection:
            assert connection.scalar(sa.text("SELECT current_user")) == role
        assert tidemark(clone, "reporting", "list").stdout == f"{role}  default\n"
        assert tidemark(clone, "reporting", "revoke", "--role", role).returncode == 0
        assert f"the role '{role}' is no analyst's" in tidemark(clone, "reporting", "revoke", "--role", role).stderr
