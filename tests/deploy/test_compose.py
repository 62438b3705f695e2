"""docker-compose.yml and the Dockerfile, taken at their word on a machine without an engine. See docs/compose.md."""

import http.client
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
import yaml

from app.embedded import bin_directory, embedded_postgres
from tests import nginx
from tests.deploy.engine import COMPOSE, DOCKERFILE, ROOT, Machine, Refused, instructions, nginx_configuration, services
from tests.robustness.cluster import Cluster
from tests.serving import free_port, until

PASSWORD = "p@ss/w:rd #%$ü"
SECRETS = {"POSTGRES_PASSWORD": PASSWORD, "APP_PASSWORD": PASSWORD[::-1]}
SERVICES = services(SECRETS)
PAGE = (ROOT / "docs" / "compose.md").read_text()
OURS = ("migrate", "maintain", "web", "collector")

_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN(?!_RETENTION)|KEY")
_UNITS = {"s": 1, "m": 60}


def seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNITS[duration[-1]]


def test_it_conforms_to_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("missing", SECRETS)
@pytest.mark.parametrize("environment", [{}, dict.fromkeys(SECRETS, "")])
def test_it_refuses_to_be_read_without_the_passwords(environment: dict[str, str], missing: str) -> None:
    others = {name: value for name, value in SECRETS.items() if name != missing}
    with pytest.raises(Refused, match=rf"{missing}.*docs/compose\.md"):
        services(environment | others)


def test_no_secret_has_a_default() -> None:
    unfilled = yaml.safe_load(COMPOSE.read_text())["services"]
    for service in unfilled.values():
        for name, value in service.get("environment", {}).items():
            if _SECRET.search(name):
                assert value is None or value.startswith(("${POSTGRES_PASSWORD:?", "${APP_PASSWORD:?")), name
            assert not re.search(r"://[^/]*:[^/]*@", value or ""), f"{name} holds a password"
    variables = re.findall(r"\$\{(\w+)(:?-?)", COMPOSE.read_text())
    assert [name for name, rule in variables if "-" in rule] == ["LISTEN"]
    assert not any(_SECRET.search(arguments) for name, arguments in instructions() if name in ("ENV", "ARG"))


def test_docker_compose_itself_refuses_too() -> None:
    compose = ["docker", "compose", "--file", str(COMPOSE), "--env-file", os.devnull, "config", "--quiet"]
    try:
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("Docker Compose is not installed")
    bare = {"PATH": os.environ["PATH"]}
    refused = subprocess.run(compose, env=bare, capture_output=True, text=True)
    assert (refused.returncode != 0, "_PASSWORD" in refused.stderr) == (True, True)
    subprocess.run(compose, env=bare | dict.fromkeys(SECRETS, "x"), check=True)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_and_confined(name: str) -> None:
    service = SERVICES[name]
    if name == "migrate":
        assert (service["restart"], service.get("healthcheck")) == ("no", None)
    else:
        assert service["restart"] == "unless-stopped"
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service)
    assert ("ports" in service) == (name == "nginx")
    if name != "postgres":  # whose image begins as root, to give the volume to its user
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service.get("user", dict(instructions())["USER"]).partition(":")[0].strip("0") != ""


def test_images_are_pinned_and_built_from_here() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    bases = [arguments.split()[0] for name, arguments in instructions() if name == "FROM"]
    for image in images + bases:
        assert re.fullmatch(r"[a-z]+:\d[\w.-]*", image), image
    for name in OURS:
        assert SERVICES[name]["build"] == {"context": ".", "dockerfile": str(DOCKERFILE.relative_to(ROOT))}


def test_services_start_in_order() -> None:
    order = {
        name: [(other, how["condition"]) for other, how in service["depends_on"].items()]
        for name, service in SERVICES.items()
        if "depends_on" in service
    }
    assert order == {
        "migrate": [("postgres", "service_healthy")],
        "maintain": [("migrate", "service_completed_successfully")],
        "web": [("migrate", "service_completed_successfully")],
        "nginx": [("web", "service_healthy")],
        "collector": [("migrate", "service_completed_successfully")],
    }
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["collector"]


def test_only_nginx_and_the_collector_reach_beyond_the_database() -> None:
    networks = {name: service.get("networks", ["default"]) for name, service in SERVICES.items()}
    assert [name for name, joined in networks.items() if "default" in joined] == ["nginx", "collector"]
    assert SERVICES["nginx"]["ports"] == ["127.0.0.1:8080:80"]


def test_clients_cannot_fill_the_memory_with_what_nginx_keeps() -> None:
    sizes = dict(re.findall(r"^(/\S+):\S*\bsize=(\d+)m$", "\n".join(SERVICES["nginx"]["tmpfs"]), re.M))
    assert list(sizes) == ["/run", "/var/cache/nginx"]
    nginx = (ROOT / "deploy" / "nginx.conf").read_text()
    (cache,) = re.findall(r"^ *proxy_cache_path /run/.* max_size=(\d+)m ", nginx, re.M)
    assert int(sizes["/run"]) >= 1.2 * int(cache), "nginx looks after that from time to time only"


def test_requests_in_flight_have_the_time_that_gunicorn_gives_them() -> None:
    (graceful,) = re.findall(r"^graceful_timeout = (\d+)$", (ROOT / "deploy" / "gunicorn.conf.py").read_text(), re.M)
    assert seconds(SERVICES["web"]["stop_grace_period"]) > int(graceful)


def test_the_page_names_what_there_is() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(SERVICES)
    handed_on = {name for name, value in SERVICES["collector"]["environment"].items() if value is None}
    assert {name for name in handed_on if f"`{name}`" not in PAGE} == set()
    used = re.findall(r"docker compose (?:exec(?: -T)?|run --rm) (\w+)", PAGE)
    assert set(used) <= set(SERVICES)


@contextmanager
def postgres(data: Path) -> Iterator[int]:
    """A Postgres such as the image makes: its superuser, its database, and TCP with passwords only. Gives its port."""
    made = SERVICES["postgres"]["environment"]
    quoted = "'" + made["POSTGRES_PASSWORD"].replace(":", "\\:") + "'"  # or it would be a parameter's name
    with embedded_postgres(data) as url:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE ROLE {made['POSTGRES_USER']} SUPERUSER LOGIN PASSWORD {quoted}"))
            connection.execute(sa.text(f"CREATE DATABASE {made['POSTGRES_DB']} OWNER {made['POSTGRES_USER']}"))
    (data / "cluster" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    server = Cluster(data, free_port())
    server.start()
    try:
        yield server.port
    finally:
        server.stop("immediate")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """The image as the Dockerfile builds it, and a Postgres beside it, empty."""
    with TemporaryDirectory(prefix="tidemark-") as name:
        directory = Path(name)  # not pytest's: a socket's name is short, and other users have to come in
        directory.chmod(0o755)
        with postgres(directory / "postgres") as port:
            # In place of the network, where `postgres` is a host and 5432 its port.
            machine = Machine(directory, {"PGHOSTADDR": "127.0.0.1", "PGPORT": str(port)})
            machine.build()
            yield machine


@contextmanager
def running(machine: Machine, name: str, command: list[str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """The service; it has ended in its time, and with 0, when the block is left."""
    process = machine.start(SERVICES[name], command or SERVICES[name]["command"])
    try:
        yield process
    finally:
        process.terminate()
        try:
            code = process.wait(seconds(SERVICES[name].get("stop_grace_period", "10s")))
            print(process.communicate()[0])  # for pytest to show with a failure
        finally:
            process.kill()
    assert code == 0


@pytest.mark.timeout(300)  # the build downloads, and may compile
def test_what_an_engine_would_run_runs(machine: Machine) -> None:
    with_programs = Machine(machine.directory, machine.outside, machine.workdir, {"PATH": str(bin_directory())})
    assert with_programs.healthy(SERVICES["postgres"] | {"user": f"{os.geteuid()}:{os.getegid()}"})
    volume = yaml.safe_load(COMPOSE.read_text())["volumes"]["socket"]["driver_opts"]
    for mount in SERVICES["nginx"]["tmpfs"]:
        machine.mount(*mount.split(":"))
    machine.mount("/run/tidemark", volume["o"])

    early, said = machine.run(SERVICES["web"], SERVICES["web"]["command"])
    assert (early, "Traceback" in said) == (1, False)
    assert not machine.healthy(SERVICES["collector"])
    assert not machine.healthy(SERVICES["maintain"])
    migrated, said = machine.run(SERVICES["migrate"], SERVICES["migrate"]["command"])
    assert migrated == 0, said
    assert machine.healthy(SERVICES["collector"])
    assert machine.run(SERVICES["migrate"], SERVICES["migrate"]["command"])[0] == 0, "it may be run again"
    check_maintain(machine)

    assert machine.command == SERVICES["web"]["command"]
    assert not machine.healthy(SERVICES["web"])
    with running(machine, "web"):
        until(lambda: machine.healthy(SERVICES["web"]))
        key = first_key(machine)
        assert get(machine, "/v0/api_keys", "") == 401
        assert get(machine, "/v0/api_keys", key) == 200
        check_collector(machine, key)
        check_nginx(machine)
    assert not machine.healthy(SERVICES["web"])


def check_maintain(machine: Machine) -> None:
    """That it does what the others may not: the partitions that migrate has made are gone, and it makes them anew."""
    engine = sa.create_engine(
        f"postgresql+psycopg://127.0.0.1:{machine.outside['PGPORT']}/tidemark",
        connect_args={"user": "tidemark", "password": PASSWORD},
        poolclass=sa.NullPool,
    )

    def partitions() -> list[str]:
        found = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'observation'::regclass"
        with engine.connect() as connection:
            return [name for name in connection.scalars(sa.text(found)) if not name.endswith("_default")]

    made = partitions()
    with engine.begin() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP TABLE {name}")
    with running(machine, "maintain"):
        until(lambda: sorted(partitions()) == sorted(made))
        until(lambda: machine.healthy(SERVICES["maintain"]))


def first_key(machine: Machine) -> str:
    """By the command on the page."""
    (command,) = re.findall(r"^docker compose exec web (tidemark keys create .*)$", PAGE, re.MULTILINE)
    code, key = machine.run(SERVICES["web"], shlex.split(command))
    assert code == 0, key
    return key.strip()


def get(machine: Machine, path: str, key: str) -> int:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(machine.mapped(SERVICES["web"]["environment"]["SOCKET"]))
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
    status = connection.getresponse().status
    connection.close()
    return status


def check_collector(machine: Machine, key: str) -> None:
    """That the image has what collecting needs: it records that the JetStream server cannot be reached."""
    (mount,) = SERVICES["collector"]["volumes"]
    file = Path(machine.mapped(mount["target"]))
    file.parent.mkdir(parents=True)
    file.write_text(
        f'[[nats]]\npipeline = "demo"\nurl = "nats://127.0.0.1:{free_port()}"\n'
        'connectors = [{ stream = "orders", consumer = "billing" }]\n'
    )
    with running(machine, "collector"):
        until(lambda: get(machine, "/v0/pipelines/demo/tables/orders/connectors/billing/stats", key) == 200)


def check_nginx(machine: Machine) -> None:
    """That nginx, as its user and with what it may write, reaches the socket: by its own health check."""
    if nginx.BINARY is None and not os.environ.get("CI"):
        return
    text, port = nginx_configuration(machine)
    file = Path(machine.mapped("/etc/nginx/nginx.conf"))
    file.parent.mkdir(parents=True)
    file.write_text(text)
    logs = Path(machine.mapped("/var/log/nginx"))  # in the image links to /dev/stdout and /dev/stderr
    logs.mkdir(parents=True)
    logs.chmod(0o777)
    kind, *check = SERVICES["nginx"]["healthcheck"]["test"]
    here = [argument.replace("http://127.0.0.1/", f"http://127.0.0.1:{port}/") for argument in check]
    confined = SERVICES["nginx"] | {"healthcheck": {"test": [kind, *here]}}
    with running(machine, "nginx", [nginx.BINARY or "", "-c", str(file), "-g", "daemon off;"]) as process:
        deadline = time.monotonic() + 30
        while not machine.healthy(confined):
            assert process.poll() is None
            assert time.monotonic() < deadline
