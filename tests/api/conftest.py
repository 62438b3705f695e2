"""The application under test, on the shared database, a tenant of its own for each test."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import make_server

from app.api.runtime import Runtime
from app.config import AuthProvider, Config
from app.domain.roles import Role
from app.factory import create_app
from app.lean import LeanFlask
from app.services.tally import Tally
from tests.api.client import Api
from tests.tenants import add_key

MakeKey = Callable[..., str]
MakeApp = Callable[..., LeanFlask]
Contents = Callable[[], list[Any]]
Unchanged = Callable[[], AbstractContextManager[None]]
PassTime = Callable[[float], None]

_CONTENTS = sa.text((Path(__file__).parent / "contents.sql").read_text())
_PASS_TIME = sa.text((Path(__file__).parent / "pass_time.sql").read_text())


@pytest.fixture(scope="session")
def make_app(database_url: str) -> Iterator[MakeApp]:
    """Makes an application on the shared database, without credentials unless told otherwise."""
    apps: list[LeanFlask] = []

    def make(**settings: Any) -> LeanFlask:
        apps.append(create_app(Config(**{"database_url": database_url} | settings)))
        return apps[-1]

    yield make
    for app in apps:
        app.on_stop()
        engine_of(app).dispose()


@pytest.fixture(scope="session")
def app(make_app: MakeApp) -> Flask:
    """The application with API keys on."""
    return make_app(auth_provider=AuthProvider.API_KEY)


@pytest.fixture(scope="session")
def live_server(app: Flask) -> Iterator[str]:
    """The URL of a server that runs the application with API keys on."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make_key(engine: sa.Engine) -> MakeKey:
    """Makes an API key, of a tenant of its own unless one is named, and answers its text."""

    def make(role: Role = Role.ADMIN, tenant: str | None = None, name: str | None = None) -> str:
        with engine.begin() as connection:
            return add_key(connection, tenant or uuid.uuid4().hex, role, name)

    return make


@pytest.fixture
def tenant() -> str:
    """The name of the test's own tenant."""
    return uuid.uuid4().hex


@pytest.fixture
def make_api(app: Flask, make_key: MakeKey, tenant: str) -> Callable[..., Api]:
    """Makes a client of the test's own tenant, or of another one."""

    def make(role: Role = Role.ADMIN, tenant: str = tenant) -> Api:
        return Api(app, make_key(role, tenant), tenant)

    return make


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    """A client that may do anything within a tenant of its own."""
    return make_api()


@pytest.fixture
def contents(engine: sa.Engine, api: Api) -> Contents:
    """Reads every row that belongs to the test's tenant."""

    def read() -> list[Any]:
        with engine.connect() as connection:
            return list(connection.execute(_CONTENTS, {"tenant": api.tenant_id}))

    return read


@pytest.fixture
def unchanged(contents: Contents) -> Unchanged:
    """A block of code in which nothing that the test's tenant has in the database may change."""

    @contextmanager
    def unchanged() -> Iterator[None]:
        before = contents()
        yield
        assert contents() == before

    return unchanged


@pytest.fixture
def pass_time(engine: sa.Engine, api: Api) -> PassTime:
    """Lets so many seconds pass for the connectors of the test's tenant, in no time."""

    def pass_time(seconds: float) -> None:
        with engine.begin() as connection:
            connection.execute(_PASS_TIME, {"tenant": api.tenant_id, "span": timedelta(seconds=seconds)})

    return pass_time


def engine_of(app: Flask) -> sa.Engine:
    """The engine that an application runs on."""
    runtime: Runtime = app.extensions["tidemark"]
    return runtime.engine


def by_hand(app: Flask) -> Tally:
    """Has the application's tally write when it is told to, and not by itself."""
    tally = Tally(engine_of(app))
    tally.close()
    app.extensions["tidemark"] = replace(app.extensions["tidemark"], tally=tally)
    return tally
