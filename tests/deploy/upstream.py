"""A server behind nginx that does as it is told and remembers every request it was sent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

STATS = "/v0/pipelines/demo/tables/orders/connectors/billing/stats"
STATUS = "/v0/pipelines/demo/completion_status?token=ct1_abc"

# What the application sends, in the order that nginx 1.22 needs.
FRESH = (
    ("Cache-Control", "stale-while-revalidate=1, stale-if-error=0"),
    ("X-Accel-Expires", "1"),
    ("Cache-Control", "private, no-cache"),
)
COMPLETE = (("X-Accel-Expires", "60"), ("Cache-Control", "no-store"))
NO_STORE = (("Cache-Control", "no-store"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    headers: Message
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = NO_STORE
    body: bytes | None = None  # None: the number of the request, so that no two are alike
    silent: bool = False  # none at all: the connection is closed, at the latest when nginx has closed it
    seconds: float | None = None  # until then; None: for ever


class Upstream:
    """Answers each request with what ``answer`` makes of it."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.answered = 0
        self.left = 0  # requests whose connection nginx closed while they waited
        self.answer: Callable[[Request], Answer] = lambda _request: Answer()
        self._lock = threading.Lock()

    def handle(self, request: Request) -> tuple[Answer, bytes]:
        with self._lock:
            self.seen.append(request)
            number = len(self.seen)
        answer = self.answer(request)
        return answer, b"%d" % number if answer.body is None else answer.body


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 512


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        assert "Transfer-Encoding" not in self.headers, "nginx has read the body, and knows its length"
        request = Request(method=self.command, path=self.path, headers=self.headers, body=body)
        answer, content = self.upstream.handle(request)
        if answer.silent:
            self._wait(answer.seconds)
            return
        self.send_response_only(answer.status)
        for name, value in (*answer.headers, ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.upstream.answered += 1

    def _wait(self, seconds: float | None) -> None:
        self.close_connection = True
        self.connection.settimeout(seconds)
        with suppress(TimeoutError, BlockingIOError):
            self.upstream.left += self.connection.recv(1) == b""

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_PATCH = _serve  # noqa: N815  # as http.server wants

    def address_string(self) -> str:
        return "nginx"

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def upstream(path: Path) -> Iterator[Upstream]:
    """Such a server on the Unix socket ``path``."""
    made = Upstream()
    with _Server(str(path), type("Handler", (_Handler,), {"upstream": made})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
