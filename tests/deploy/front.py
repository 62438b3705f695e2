"""nginx under test: its URL, its log, and bytes sent to it as they are."""

import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.serving import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """nginx in front of something."""

    base: str
    directory: Path

    def request(self, method: str, path: str, key: str = "tmk_one", **headers: str) -> requests.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(
            method, self.base + path, headers={"Authorization": f"Bearer {key}"} | names, timeout=20
        )

    def get(self, path: str, key: str = "tmk_one", **headers: str) -> requests.Response:
        return self.request("GET", path, key, **headers)

    def logged(self, answer: requests.Response) -> dict[str, Any]:
        """The line of the access log of the request that was answered so."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [line for line in self.log() if line["request_id"] == answer.headers["X-Request-ID"]]
            return bool(found)

        until(look, 10)
        (line,) = found
        return line

    def cache(self, answer: requests.Response) -> str:
        """What the cache had to do with the answer: MISS, HIT, EXPIRED, UPDATING or nothing."""
        return str(self.logged(answer)["cache"])

    def log(self) -> list[dict[str, Any]]:
        """The access log; nginx writes it once a second."""
        path = self.directory / "access.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        url = urlsplit(self.base)
        with closing(socket.create_connection((url.hostname, url.port), timeout=10)) as connection:
            yield connection

    @contextmanager
    def many(self, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
        """So many connections, on each of which this has been sent."""
        with ExitStack() as stack:
            connections = [stack.enter_context(self.connection()) for _ in range(count)]
            for connection in connections:
                connection.sendall(sent)
            yield connections

    @staticmethod
    def unanswered(connections: Iterable[socket.socket]) -> bool:
        """Whether all of these are still open, and none has been sent a byte."""
        return all(_would_block(connection) for connection in connections)

    def exchange(self, sent: bytes, seconds: float = 1) -> bytes:
        """All that nginx answers to these bytes, until it closes the connection or has been silent for so long."""
        received = b""
        with self.connection() as connection:
            connection.sendall(sent)
            connection.settimeout(seconds)
            try:
                while piece := connection.recv(65536):
                    received += piece
            except (TimeoutError, ConnectionResetError):
                pass
        return received


def _would_block(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False
