"""Databases for the tests: one server, one template built by the real migrations, and clones of it.

The server is the embedded Postgres, in a directory of its own, or that of TEST_DATABASE_URL, whose user may create
databases. And an identity provider, for the tests that need one.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from hypothesis import settings

from app.embedded import embedded_postgres
from app.store import schema
from app.store.engine import make_engine
from tests.services.oidc.issuer import Issuer, serving_issuer

# What a test may take is pytest's time-out; a single example is as slow as the machine is busy. A failure prints how
# to play it again.
settings.register_profile("tidemark", deadline=None, print_blob=True)
settings.load_profile("tidemark")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files whose tests may take the longest come first, so that none of the processes is left with them."""
    patience: dict[Path, float] = {}
    for item in items:
        marker = item.get_closest_marker("timeout")
        patience[item.path] = max(patience.get(item.path, 0), marker.args[0] if marker else 0)
    items.sort(key=lambda item: -patience[item.path])


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """The URL of a server on which databases may be made."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
    else:
        # Not in pytest's directory: of those, other sessions delete all but the newest three.
        with TemporaryDirectory(prefix="tidemark-tests-") as directory, embedded_postgres(Path(directory)) as url:
            yield url


@pytest.fixture(scope="session")
def template_database(database_server: str) -> Iterator[str]:
    """The name of a database at the newest revision, to be cloned and never connected to."""
    with _database(database_server) as url:
        schema.upgrade(url)
        yield sa.make_url(url).database or ""


@pytest.fixture
def empty_database(database_server: str) -> Iterator[str]:
    """The URL of a database without a schema, for this test alone."""
    with _database(database_server) as url:
        yield url


@pytest.fixture
def clone(database_server: str, template_database: str) -> Iterator[str]:
    """The URL of a fresh database, for this test alone: for locks, concurrency and NOTIFY."""
    with _database(database_server, template_database) as url:
        yield url


@pytest.fixture
def copied(database_server: str) -> Iterator[Callable[[str], str]]:
    """Makes a copy of a database that nobody is connected to, for this test alone: from its URL, its URL."""
    with ExitStack() as made:
        yield lambda url: made.enter_context(_database(database_server, sa.make_url(url).database or ""))


@pytest.fixture(scope="module")
def module_clone(database_server: str, template_database: str) -> Iterator[str]:
    """The URL of a fresh database, for the tests of one module that read what it was filled with."""
    with _database(database_server, template_database) as url:
        yield url


@pytest.fixture(scope="session")
def database_url(database_server: str, template_database: str) -> Iterator[str]:
    """The URL of the database that most tests share. Each isolates itself by a tenant of its own."""
    with _database(database_server, template_database) as url:
        yield url


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An engine on the shared database."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def clone_engine(clone: str) -> Iterator[sa.Engine]:
    """An engine on a database for this test alone."""
    engine = make_engine(clone)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def served_issuer() -> Iterator[Issuer]:
    """An identity provider, for the tests of one module."""
    with serving_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(served_issuer: Issuer) -> Issuer:
    """The module's identity provider, which has been asked nothing and answers right."""
    served_issuer.answers.clear()
    served_issuer.asked.clear()
    return served_issuer


@contextmanager
def _database(server: str, template: str = "template0") -> Iterator[str]:
    name = f"tidemark_test_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(server, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _drop(admin, name)


def _drop(admin: sa.Engine, name: str) -> None:
    """Drops the database. FORCE gives its sessions five seconds to go, which on a busy machine may be too few."""
    for attempt in range(10):
        try:
            with admin.connect() as connection:
                connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            return
        except sa.exc.OperationalError:
            if attempt == 9:
                raise
            time.sleep(1)
