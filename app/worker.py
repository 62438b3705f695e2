"""gunicorn's gevent worker, but it ends when the requests have, and it refuses in this service's words."""

import gc
import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from random import getrandbits
from types import TracebackType
from typing import Any

import gevent
from gevent.hub import get_hub
from gunicorn import glogging
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

_REFUSALS: tuple[tuple[type[Exception], int, str], ...] = (
    (errors.LimitRequestLine, 414, "RequestURITooLong"),
    (errors.LimitRequestHeaders, 431, "RequestHeaderFieldsTooLarge"),
    (errors.ExpectationFailed, 417, "ExpectationFailed"),
    (errors.UnsupportedTransferCoding, 501, "NotImplemented"),
    (errors.ParseException, 400, "BadRequest"),
    (Exception, 500, "InternalServerError"),
)
_HARMLESS = (
    b"X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\nX-Request-ID: "
)
_CONFINED = b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n" + _HARMLESS
"""What keeps a browser from making anything of an answer that it is not. deploy/nginx.conf says the same of its own."""

_is_request_id = re.compile(r"[0-9A-Fa-f-]{16,64}").fullmatch  # a UUID, nginx's, a trace's; not a key, nor a token
_GRACE_SECONDS = 2.0  # for a request that is just on its way on a kept connection; it is answered, and told to close

_COLLECTED_AFTER = (20_000, 50, 10)
"""After how many objects more than before, and how many such looks, Python looks for cycles that nobody refers to.

What goes well leaves none, for it is freed with its last reference; a request that is refused leaves a hundred objects.
A look takes the longer the more there is, and nobody is answered meanwhile: a quarter of a second, where 5,000 wait.
With Python's own numbers (700, 10, 10) that is so every few seconds.
"""


class Log(glogging.Logger):
    """gunicorn's, as a part of this program's log (app/logs.py), without a format of its own."""

    def setup(self, cfg: Any) -> None:
        """As gunicorn's."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def access(self, *arguments: Any) -> None:
        """Nothing: a request line can hold a token; nginx keeps the access log."""


class Worker(GeventWorker):
    """gunicorn's own waits for idle connections too: one browser makes each stop last its ``graceful_timeout``.

    What waits for long by design, it cannot know: an application ends that itself when its ``on_stop`` is called. And
    gunicorn's own answers what it cannot read with HTML, and writes the request line to the log, tokens included.
    Whatever leaves here has the headers for browsers and the request's id: as bytes, for gunicorn would take a
    microsecond for each.
    """

    def load_wsgi(self) -> None:
        """As gunicorn's."""
        super().load_wsgi()
        self.application = self.wsgi
        self.wsgi = _identified(self.wsgi)
        gc.collect()
        gc.freeze()  # what is there by now stays, and is not to be looked through again and again
        gc.set_threshold(*_COLLECTED_AFTER)

    def run(self) -> None:
        """As gunicorn's."""
        self._idle: set[_Idle] = set()
        gevent.spawn(self._end)
        super().run()

    def timeout_ctx(self) -> "_Idle":  # type: ignore[override]  # the stubs say that it gives nothing
        """Entered while a connection waits for its next request."""
        return _Idle(self.cfg.keepalive, self._idle)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """As gunicorn's, but what it sends in two pieces, the head and the body, leaves in one.

        And where it is killed, its connection ends: gunicorn would go on, and the next request's answer be taken for
        this one's.
        """
        whole: Any = _Whole(sock)
        try:
            return super(GeventWorker, self).handle_request(listener_name, req, whole, addr)
        except (gevent.GreenletExit, SystemExit):
            raise StopIteration from None
        finally:
            whole.flush()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers what never reaches the application: a request that is none, or is too large."""
        status, code = next((s, c) for kind, s, c in _REFUSALS if isinstance(exc, kind) or kind is Exception)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("error outside the application", exc_info=exc)
        message = f"The server cannot take this request: {HTTPStatus(status).phrase}"
        body = json.dumps({"message": message, "error_code": code, "details": None}) + "\n"
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n"
        with suppress(OSError):  # whoever sent that may be gone
            client.sendall(_completed(head.encode(), new_request_id()) + body.encode())

    def _end(self) -> None:
        while self.alive:
            gevent.sleep(0.1)
        getattr(self.application, "on_stop", lambda: None)()
        gevent.sleep(_GRACE_SECONDS)
        for idle in list(self._idle):
            get_hub().loop.run_callback(idle.end)


def new_request_id() -> str:
    """A new one, as nginx makes them. It is no secret."""
    return f"{getrandbits(128):032x}"


def _identified(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The application, each of whose requests has an id: that which the proxy or the client gave it, or a new one."""

    def identified(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID")
        if given is None or not _is_request_id(given):
            environ["HTTP_X_REQUEST_ID"] = given = new_request_id()
        environ["gunicorn.socket"].request_id = given
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = _Chunks(environ["wsgi.input"])
        return application(environ, start_response)

    return identified


def _completed(head: bytes, request_id: str) -> bytes:
    """The head of an answer, with what every one says. A page of the documentation has a policy of its own."""
    # A single byte is found faster by far, and this one is in every policy.
    has_policy = b"'" in head and b"\r\nContent-Security-Policy: " in head
    return b"".join((head[:-2], _HARMLESS if has_policy else _CONFINED, request_id.encode(), b"\r\n\r\n"))


class _Chunks:
    """A body in chunks, which fails as a lost connection does where they are none: as the client's fault, not ours."""

    __slots__ = ("_body",)

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        try:
            return bytes(self._body.read(size))
        except errors.ParseException as error:
            raise OSError(type(error).__name__) from None


class _Whole:
    """A connection that keeps the first thing that it is to send, the head of an answer, until there is a second."""

    __slots__ = ("_head", "_socket", "request_id")

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._head: bytes | None = b""  # None: it is gone
        self.request_id = ""

    def sendall(self, data: bytes) -> None:
        if self._head == b"":
            self._head = _completed(data, self.request_id)
        else:
            head, self._head = self._head, None  # gone at once: should this be cut short, it is not sent again
            self._socket.sendall(head + data if head else data)

    def flush(self) -> None:
        """Sends an answer that has no body; not where gunicorn has closed the connection on an error."""
        head, self._head = self._head, None
        if head and self._socket.fileno() >= 0:
            self._socket.sendall(head)

    def __getattr__(self, name: str) -> Any:
        if self._head:  # whatever is done with the connection now, such as sendfile, comes after the head
            self.flush()
        return getattr(self._socket, name)


class _Idle(gevent.Timeout):  # type: ignore[misc]  # untyped
    """gevent's time-out, which can also be brought about."""

    def __init__(self, seconds: float, register: "set[_Idle]") -> None:
        super().__init__(seconds, False)
        self._register = register

    def __enter__(self) -> "_Idle":
        self._greenlet = gevent.getcurrent()
        self._register.add(self)
        super().__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        self._register.discard(self)
        return bool(super().__exit__(kind, error, at))

    def end(self) -> None:
        """For the hub to call, as it calls what a timer sets off: nothing happens between this look and the throw."""
        if self in self._register:
            self._greenlet.throw(self)
