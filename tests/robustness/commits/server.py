"""The real server between its two proxies, as its clients reach it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import sqlalchemy as sa

from app.domain.connector import Connector
from app.domain.names import Address
from app.store.reports import load
from tests.robustness.commits.proxy import Proxy, lossy_http, lossy_postgres
from tests.serving import TIDEMARK, Server

_ROWS = {
    "observations": "SELECT version, total_records FROM observation WHERE connector_id = :id ORDER BY version",
    "errors": "SELECT index, message FROM connector_error WHERE connector_id = :id ORDER BY index",
    "events": "SELECT version, kind FROM connector_event WHERE connector_id = :id ORDER BY version, kind",
    "epochs": "SELECT number, label, first_version, completed_version, removed FROM connector_epoch"
    " WHERE connector_id = :id ORDER BY number",
    "tokens": "SELECT id FROM completion_token WHERE connector_id = :id",
}


class WrongAnswer(AssertionError):
    """The sender was told what is not so, or what it can do nothing with."""


@dataclass(frozen=True)
class LossyServer:
    """The server as its clients reach it, and its rows as they are."""

    base: str
    proxies: dict[str, Proxy]
    engine: sa.Engine
    client: requests.Session

    def send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self.client.request(method, self.base + path, timeout=30, **arguments)

    def rows(self, address: Address) -> tuple[Connector, dict[str, list[Any]]]:
        with self.engine.connect() as connection:
            (loaded,) = load(connection, [(address, None)])
            return loaded.connector, {
                name: [tuple(row) for row in connection.execute(sa.text(sql), {"id": address.id})]
                for name, sql in _ROWS.items()
            }


@contextmanager
def lossy_server(url: str, engine: sa.Engine, *command: str) -> Iterator[LossyServer]:
    """The server between its two proxies."""
    with lossy_postgres(url) as (postgres, through):
        environment = {"DATABASE_URL": through, "WORKERS": "1", "ALLOW_UNSAFE_DATABASE": "1", "HISTORY_INTERVAL": "0"}
        server = Server(environment, command or (TIDEMARK, "serve"))
        try:
            with lossy_http(int(server.environment["PORT"])) as http, requests.Session() as client:
                yield LossyServer(f"http://127.0.0.1:{http.port}", {"postgres": postgres, "http": http}, engine, client)
        finally:
            server.stop()


def version(answer: requests.Response) -> int | None:
    etag = answer.headers.get("ETag")
    return int(etag.strip('"')) if etag else None


def expect(answer: requests.Response, *statuses: int) -> requests.Response:
    """The answer; raises WrongAnswer for one with any other status."""
    if answer.status_code not in statuses:
        raise WrongAnswer(f"{answer.status_code}, not {statuses}: {answer.text}")
    return answer
