"""The embedded Postgres: shared between processes, and whole again after any kind of death."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from app.embedded import EmbeddedPostgresError, embedded_postgres, pg_ctl

# Prints "ready" once it uses the server in the given directory, and leaves when its standard input ends. Signals have
# their usual effect, also where whoever runs the tests ignores some, as `nohup` does.
USER = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from app.embedded import embedded_postgres
with embedded_postgres(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


def another_user(data: Path, program: str = USER) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, str(data)]
    user = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    assert user.stdout.readline() == "ready\n"
    return user


def end(user: subprocess.Popen[str], how: Callable[[], None]) -> int:
    how()
    with user:
        return user.wait(30)


def scalar(url: str, statement: str) -> object:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        return result.scalar() if result.returns_rows else None


def is_running(data: Path) -> bool:
    return pg_ctl(data, "status").returncode == 0


def postmaster(data: Path) -> int:
    return int((data / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def kill(pid: int) -> None:
    """Kill, and wait until it is dead; where nobody reaps orphans it stays, as a zombie."""
    os.kill(pid, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory whose parents do not exist either."""
    return tmp_path / "var" / "postgres"


def test_data_is_there_again_after_a_restart(data: Path) -> None:
    with embedded_postgres(data) as url:
        scalar(url, "CREATE TABLE kept AS SELECT 42 AS n")
    assert not is_running(data)
    with embedded_postgres(data) as url:
        assert scalar(url, "SELECT n FROM kept") == 42


def test_commits_are_durable(data: Path) -> None:
    with embedded_postgres(data) as url:
        assert [scalar(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")] == [
            "on",
            "on",
            "on",
        ]


@pytest.mark.parametrize("name", ["späce, %41 @:x", "very-long" * 12])
def test_any_directory_will_do(tmp_path: Path, name: str) -> None:
    with embedded_postgres(tmp_path / name) as url, embedded_postgres(tmp_path / name) as again:
        assert scalar(url, "SELECT 1") == 1
        assert again == url
    assert not Path(str(sa.make_url(url).query["host"])).exists()


def test_the_environment_of_a_client_does_not_matter(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_XX.nonsense")
    with embedded_postgres(data) as url:
        assert scalar(url, "SELECT 1") == 1


def test_the_last_to_leave_stops_it(data: Path) -> None:
    other = another_user(data)
    with embedded_postgres(data) as url:
        server = postmaster(data)
        assert scalar(url, "SELECT 1") == 1
    assert is_running(data)
    assert postmaster(data) == server
    assert other.stdin is not None
    assert end(other, other.stdin.close) == 0
    assert not is_running(data)


def test_many_come_and_go_at_once(data: Path) -> None:
    users = [subprocess.Popen([sys.executable, "-c", USER, str(data)], stdin=subprocess.DEVNULL) for _ in range(4)]
    assert [user.wait(60) for user in users] == [0, 0, 0, 0]
    assert not is_running(data)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_stops_it(data: Path, number: signal.Signals) -> None:
    user = another_user(data)
    assert end(user, lambda: user.send_signal(number)) != 0
    assert not is_running(data)


def test_a_killed_user_does_not_count(data: Path) -> None:
    user = another_user(data)
    end(user, user.kill)
    assert is_running(data)
    with embedded_postgres(data) as url:
        assert scalar(url, "SELECT 1") == 1
    assert not is_running(data)


def test_a_forked_child_that_exits_does_no_harm(data: Path) -> None:
    user = another_user(data, USER.replace("print(", "os.fork() or sys.exit()\n    os.wait()\n    print("))
    assert is_running(data)
    assert user.stdin is not None
    assert end(user, user.stdin.close) == 0
    assert not is_running(data)


def test_it_recovers_when_everything_was_killed(data: Path) -> None:
    with embedded_postgres(data) as url:
        scalar(url, "CREATE TABLE kept AS SELECT 42 AS n")
        kill(postmaster(data))
        with embedded_postgres(data) as again:
            assert scalar(again, "SELECT n FROM kept") == 42


def test_a_pid_that_is_another_program_now_does_not_block(data: Path) -> None:
    with embedded_postgres(data):
        pass
    owner = data.stat().st_uid
    other = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
    (data / "cluster" / "postmaster.pid").write_text(f"{other.pid}\n{data}/cluster\n1700000000\n5432\n\n\n\nready\n")
    try:
        with embedded_postgres(data) as url:
            assert scalar(url, "SELECT 1") == 1
    finally:
        other.kill()
        other.wait()


def test_a_half_made_cluster_is_made_anew(data: Path) -> None:
    (data / "cluster.new").mkdir(parents=True)
    (data / "cluster.new" / "PG_VERSION").write_text("18\n")
    with embedded_postgres(data) as url:
        assert scalar(url, "SELECT 1") == 1


def test_it_does_not_run_as_root(data: Path) -> None:
    with embedded_postgres(data):
        assert psutil.Process(postmaster(data)).uids().real == data.stat().st_uid != 0


def test_a_server_that_cannot_start_says_why(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_postgres(data):
        pass
    with (data / "cluster" / "postgresql.conf").open("a") as configuration:
        configuration.write("shared_buffers = 'nonsense'\n")
    monkeypatch.setattr("app.embedded._START_TRIES", 1)
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers"), embedded_postgres(data):
        pytest.fail("started")


def test_a_missing_wheel_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match=r"\[embedded\].*DATABASE_URL"), embedded_postgres(data):
        pytest.fail("started")
    assert not data.exists()
