"""The page about identity providers is run, against the real server under gevent and a provider such as it makes."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
import yaml

from app.config import Config
from tests.pages import blocks, play
from tests.services.oidc.issuer import WELL_KNOWN, Issuer, make_tenants, rsa, serving_issuer
from tests.serving import Server


@dataclass
class World:
    """The server, the provider, and a directory with the page's program."""

    server: Server
    issuer: Issuer
    directory: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, database_url: str, engine: sa.Engine) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("oidc")
    (directory / ".venv").symlink_to(sys.prefix)
    (program,) = blocks("oidc", "python")
    with serving_issuer() as issuer:
        (directory / "issue.py").write_text(program.replace("http://localhost:9000", issuer.base))
        subprocess.run(
            [sys.executable, "issue.py", "nobody", "read"], cwd=directory, check=True, stdout=subprocess.DEVNULL
        )
        for path in (WELL_KNOWN, "/keys"):
            issuer.answers[path] = (200, {}, (directory / "var" / "issuer" / path[1:]).read_bytes())
        make_tenants(engine, "acme", "globex")  # quicker than by the page's commands
        server = Server(settings(issuer) | {"DATABASE_URL": database_url})
        try:
            yield World(server, issuer, directory)
        finally:
            server.stop()


def settings(issuer: Issuer) -> dict[str, str]:
    """As the page's own `export` sets them, but one process, whose database need not be a safe one."""
    (exported,) = [line for line in "".join(blocks("oidc", "sh")).splitlines() if line.startswith("export ")]
    told = dict(setting.split("=", 1) for setting in exported.split()[1:])
    return told | {"OIDC_ISSUER": issuer.base, "WORKERS": "1", "ALLOW_UNSAFE_DATABASE": "1"}


def test_the_session_goes_as_it_is_told(world: World) -> None:
    told, done = zip(*play("oidc", world.server.base, world.directory), strict=True)
    assert done == told
    assert len(told) >= 14


def test_while_the_provider_drips_others_are_served_and_nobody_waits_for_ever(world: World) -> None:
    """In one process, whose requests are greenlets: only if it is none of the fetch's own that waits."""
    world.issuer.drips = True
    asked = len(world.issuer.asked)
    answers: list[int] = []
    unknown = {"Authorization": f"Bearer {world.issuer.token(key=rsa('other'))}"}

    def ask() -> None:
        answers.append(requests.get(f"{world.server.base}/v0/config", headers=unknown, timeout=60).status_code)

    waiting = [threading.Thread(target=ask) for _ in range(5)]
    for thread in waiting:
        thread.start()
    while len(world.issuer.asked) == asked or not answers:
        assert world.server.get("/healthz").status_code == 200
    for thread in waiting:
        thread.join()
    assert answers == [401] * 5
    assert world.issuer.asked[asked:] == [WELL_KNOWN]


def test_the_service_in_compose_is_configured() -> None:
    (override,) = blocks("oidc", "yaml")
    Config.read(yaml.safe_load(override)["services"]["web"]["environment"])
