"""A site as in production: the real server behind nginx, on a Unix socket and with API keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import sqlalchemy as sa

from app.domain.roles import Role
from tests.deploy.front import Front
from tests.nginx import nginx
from tests.serving import CONNECTOR, Server
from tests.tenants import add_key

STATS = f"{CONNECTOR}/stats"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Front):
    """nginx, the server behind it, and one who makes keys."""

    server: Server
    engine: sa.Engine

    def key(self, tenant: str, name: str | None = None, role: Role = Role.ADMIN) -> str:
        with self.engine.begin() as connection:
            return add_key(connection, tenant, role, name)

    def report(self, key: str, version: int, received: int, completed: int, path: str = STATS) -> requests.Response:
        position = {"received": received, "completed": completed}
        headers = {"If-Match": f'"{version}"', "Authorization": f"Bearer {key}"}
        return requests.put(self.base + path, json={"position": position}, headers=headers, timeout=10)

    def complete_token(self, key: str) -> str:
        """A token of a connector made for it, and its reports to the point where it is complete."""
        assert self.report(key, 0, 10, 10).status_code == 201
        token = str(self.get(f"{CONNECTOR}/completion_token", key).json()["token"])
        assert [self.report(key, version, 10, 10).status_code for version in (1, 2)] == [204, 204]
        return status(token)


@contextmanager
def running(database: str, engine: sa.Engine, directory: Path, **environment: str) -> Iterator[Site]:
    """The site. Its server is asked through nginx whether it is ready: it has no port of its own."""
    socket = directory / "gunicorn.sock"
    with nginx(directory, socket) as base:
        server = Server(
            {
                "DATABASE_URL": database,
                "ALLOW_UNSAFE_DATABASE": "1",
                "AUTH_PROVIDER": "api-key",
                "SOCKET": str(socket),
                "PORT": str(urlsplit(base).port),
                **environment,
            }
        )
        try:
            yield Site(base=base, directory=directory, server=server, engine=engine)
        finally:
            server.stop()


def status(token: str) -> str:
    return f"/v0/pipelines/demo/completion_status?token={token}"
