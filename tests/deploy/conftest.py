"""nginx in front of a server that does as it is told."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deploy.front import Front
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
