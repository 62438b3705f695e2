"""nginx in front of a server that does as it is told; and of the real one, a tenant and a key of the test's own."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from tests.deploy.front import Front
from tests.deploy.site import Site
from tests.deploy.upstream import Upstream, upstream
from tests.nginx import needed, nginx


@pytest.fixture
def directory() -> Iterator[Path]:
    """For what nginx writes, and for the socket, whose path must be short."""
    needed()
    with TemporaryDirectory(prefix="tidemark-") as directory:
        yield Path(directory)


@pytest.fixture
def server(directory: Path) -> Iterator[Upstream]:
    with upstream(directory / "server.sock") as made:
        yield made


@pytest.fixture
def front(server: Upstream, directory: Path) -> Iterator[Front]:
    """nginx as it is configured, in front of ``server``, and with nothing in its cache."""
    with nginx(directory, directory / "server.sock") as base:
        yield Front(base=base, directory=directory)


@pytest.fixture
def tenant() -> str:
    return uuid4().hex


@pytest.fixture
def key(site: Site, tenant: str) -> str:
    """``site`` is the module's own."""
    return site.key(tenant)
