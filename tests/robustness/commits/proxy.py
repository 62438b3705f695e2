"""TCP proxies that lose a request or its answer when told to, so that its sender cannot know what became of it.

sender ── Proxy ── server, which may be Postgres (`lossy_postgres`) or one that speaks HTTP (`lossy_http`)
"""

import select
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum

import sqlalchemy as sa

from tests.robustness.commits.wire import HttpWire, PostgresWire, Request, Wire

_CHUNK = 65536


class NotLost(AssertionError):
    """What was to be lost never came by, or was not answered."""


class Loss(Enum):
    """What is lost, and the connection with it."""

    REQUEST = "request"  # never reaches the server: it is not done
    ANSWER = "answer"  # the server has done it, and has said so


@dataclass
class _Order:
    loss: Loss
    of: Callable[[Request], bool]
    skip: int
    left: int


class Proxy:
    """Passes everything on, but for what it was told to lose; of one server, for any number of connections."""

    def __init__(self, connect: Callable[[], socket.socket], wire: Callable[[], Wire]) -> None:
        self._connect, self._wire = connect, wire
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.lost: Counter[Loss] = Counter()
        self.passed = 0  # whole answers
        self._lock = threading.Lock()  # over the two counts, the order and the sockets
        self._order: _Order | None = None
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @contextmanager
    def losing(self, loss: Loss, of: Callable[[Request], bool], *, times: int = 1, skip: int = 0) -> Iterator[None]:
        """Loses the next so many requests of the kind, or their answers, after letting ``skip`` of them pass.

        Raises NotLost unless every one of them was when the block is left.
        """
        order = _Order(loss, of, skip, times)
        before = self.lost[loss]
        with self._lock:
            self._order = order
        try:
            yield
        finally:
            with self._lock:
                self._order = None
        forced = self.lost[loss] - before
        if forced != times:
            raise NotLost(f"{forced} of {times}: {loss}")

    def close(self) -> None:
        """Ends every connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        with self._lock:
            for end in self._sockets:
                _hang_up(end)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), self._connect() as server:
            with self._lock:
                self._sockets |= {client, server}
            _send_at_once(client)
            _send_at_once(server)
            try:
                self._relay(client, server, self._wire())
            finally:
                with self._lock:
                    self._sockets -= {client, server}
                _hang_up(client)
                _hang_up(server)

    def _relay(self, client: socket.socket, server: socket.socket, wire: Wire) -> None:
        losing = False
        while True:
            ready, _, _ = select.select([client, server], [], [])
            sender = ready[0]
            data = sender.recv(_CHUNK)
            if not data:
                return None
            if sender is client:
                for request in wire.requests(data):
                    loss = self._taken(request)
                    if loss is Loss.REQUEST:
                        return self._note(loss)
                    losing = loss is Loss.ANSWER
                    server.sendall(request.raw)
                continue
            answers = wire.answers(data)
            if losing and answers:
                return self._note(Loss.ANSWER)
            if not losing:
                client.sendall(data)
                with self._lock:
                    self.passed += answers

    def _taken(self, request: Request) -> Loss | None:
        """What is to be lost of this request."""
        with self._lock:
            order = self._order
            if order is None or not order.left or not order.of(request):
                return None
            if order.skip:
                order.skip -= 1
                return None
            order.left -= 1
            return order.loss

    def _note(self, loss: Loss) -> None:
        with self._lock:
            self.lost[loss] += 1


@contextmanager
def lossy_postgres(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy before the server of the URL, and the URL of the same database through it."""
    target = sa.make_url(url)
    host = str(target.query.get("host") or target.host)
    port = int(str(target.query.get("port") or target.port or 5432))
    query = {name: value for name, value in target.query.items() if name not in ("host", "port")}
    in_clear = {**query, "sslmode": "disable", "gssencmode": "disable"}
    proxy = Proxy(lambda: _reach(host, port), PostgresWire)
    try:
        through = target.set(host="127.0.0.1", port=proxy.port, query=in_clear)
        yield proxy, through.render_as_string(hide_password=False)
    finally:
        proxy.close()


@contextmanager
def lossy_http(port: int) -> Iterator[Proxy]:
    """A proxy before the HTTP server on this port of 127.0.0.1."""
    proxy = Proxy(lambda: _reach("127.0.0.1", port), HttpWire)
    try:
        yield proxy
    finally:
        proxy.close()


def _reach(host: str, port: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    reached = socket.socket(socket.AF_UNIX)
    try:
        reached.connect(f"{host}/.s.PGSQL.{port}")
    except OSError:
        reached.close()
        raise
    return reached


def _send_at_once(end: socket.socket) -> None:
    """Does not gather small messages, which costs 40 ms each time."""
    if end.family != socket.AF_UNIX:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
