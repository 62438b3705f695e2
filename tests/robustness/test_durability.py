"""Durability is asserted, not assumed: nothing is served on a database that may forget what it has acknowledged."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.cluster import Cluster, cluster
from tests.serving import TIDEMARK, Server

ROOT = Path(__file__).parents[2]
GUNICORN = [str(Path(TIDEMARK).parent / "gunicorn"), "-c", "deploy/gunicorn.conf.py", "wsgi:app"]
COLLECTOR = [TIDEMARK, "collect", "--config", "collector.toml"]
TOML = """
[[nats]]
pipeline = "demo"
url = "nats://127.0.0.1:1"
connectors = [{ stream = "orders", consumer = "billing" }]
"""
UNSAFE = [{"fsync": "off"}, {"full_page_writes": "off"}, {"synchronous_commit": "off"}]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("durability") / "postgres") as made:
        yield made


def refusal(database: Cluster, command: list[str], cwd: Path) -> str:
    """What the command says when it refuses to start."""
    environment = {"PATH": "/usr/bin:/bin", "DATABASE_URL": database.url, "PORT": "1"}
    refused = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1, refused.stderr
    assert "Traceback" not in refused.stderr
    return refused.stderr


@pytest.mark.parametrize("setting", UNSAFE)
def test_an_unsafe_setting_is_refused_by_name(database: Cluster, setting: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "collector.toml").write_text(TOML)
    database.stop()
    database.start(**setting)
    (name,) = setting
    for command, cwd in (([TIDEMARK, "serve"], ROOT), (GUNICORN, ROOT), (COLLECTOR, tmp_path)):
        told = refusal(database, command, cwd)
        assert f"{name} is off" in told
        assert "ALLOW_UNSAFE_DATABASE=1" in told


@pytest.mark.parametrize("setting", UNSAFE)
def test_an_unsafe_setting_can_be_allowed_and_is_warned_of_at_every_start(
    database: Cluster, setting: dict[str, str], tmp_path: Path
) -> None:
    database.stop()
    database.start(**setting)
    (name,) = setting
    for start in range(2):
        log = tmp_path / f"log{start}"
        server = Server({"DATABASE_URL": database.url, "ALLOW_UNSAFE_DATABASE": "1"}, log=log)
        try:
            assert server.get("/readyz").json()["checks"][name] is False
        finally:
            server.stop()
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        warned = [line["event"] for line in lines if (line["level"], line["logger"]) == ("warning", "app.store.health")]
        assert warned
        assert all(told.startswith("ALLOW_UNSAFE_DATABASE=1") and f"{name} is off" in told for told in warned)


def test_a_safe_server_is_not_warned_of(database: Cluster, tmp_path: Path) -> None:
    database.stop()
    database.start()
    server = Server({"DATABASE_URL": database.url}, log=tmp_path / "log")
    server.stop()
    assert "ALLOW_UNSAFE_DATABASE" not in (tmp_path / "log").read_text()


def test_a_server_that_turns_unsafe_is_no_longer_ready(database: Cluster) -> None:
    database.stop()
    database.start()
    server = Server({"DATABASE_URL": database.url})
    try:
        database.stop()
        database.start(synchronous_commit="off")
        answer = server.get("/readyz")
        assert (answer.status_code, answer.json()["message"]) == (503, "Not ready: failed synchronous_commit")
    finally:
        server.stop()


def test_a_standby_is_refused(tmp_path: Path) -> None:
    with cluster(tmp_path / "postgres") as standby:
        standby.stop()
        standby.become_standby()
        standby.start()
        for command in ([TIDEMARK, "serve"], GUNICORN):
            assert "it is a standby" in refusal(standby, command, ROOT)
        server = Server({"DATABASE_URL": standby.url, "ALLOW_UNSAFE_DATABASE": "1"}, ready=False)
        try:
            assert server.get("/readyz").json()["message"] == "Not ready: failed primary"
            assert server.get("/v0/pipelines").json() == []
        finally:
            server.stop()
