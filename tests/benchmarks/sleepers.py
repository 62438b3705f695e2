"""Clients that ask to wait for tokens, thousands of them, each on a connection of its own and all in one thread."""

import resource
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

WAIT_SECONDS = 60
_AT_A_TIME = 200  # connections made before the server has answered none of them


class Sleeper:
    """One that waits; ``answered`` is when its answer came, of time.perf_counter."""

    __slots__ = ("answer", "answered", "connection")

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self.connection = socket.create_connection(address, timeout=10)
        head = f"GET {path}&wait={WAIT_SECONDS} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.connection.sendall(head.encode())
        self.connection.setblocking(False)
        self.answer = b""
        self.answered: float | None = None


@contextmanager
def asleep(base: str, paths: Sequence[str]) -> Iterator[list[Sleeper]]:
    """Clients that wait, one for each path of a token's status, once the server has taken notice of all."""
    where = urlsplit(base)
    sleepers = []
    try:
        for number, path in enumerate(paths, start=1):
            sleepers.append(Sleeper((where.hostname or "", where.port or 80), path))
            if number % _AT_A_TIME == 0:
                time.sleep(0.05)
        yield sleepers
    finally:
        for sleeper in sleepers:
            sleeper.connection.close()


def read_answers(sleepers: Sequence[Sleeper], seconds: float) -> None:
    """Notes when each of them is answered; raises AssertionError unless all are, with *complete*, within the time."""
    deadline = time.perf_counter() + seconds
    with selectors.DefaultSelector() as selector:
        for sleeper in sleepers:
            selector.register(sleeper.connection, selectors.EVENT_READ, sleeper)
        while selector.get_map():
            assert time.perf_counter() < deadline, f"{len(selector.get_map())} of {len(sleepers)} were left asleep"
            for key, _ in selector.select(1):
                _read(key.data)
                if key.data.answered is not None:
                    selector.unregister(key.data.connection)


def _read(sleeper: Sleeper) -> None:
    sleeper.answer += sleeper.connection.recv(4096)
    if b'"complete"' in sleeper.answer:
        assert sleeper.answer.startswith(b"HTTP/1.1 200 "), sleeper.answer
        sleeper.answered = time.perf_counter()


def allow_many_connections() -> int:
    """Raises this process' limit on open files, which its children inherit, as far as it may; answers the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
