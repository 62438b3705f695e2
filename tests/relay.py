"""A server between a client and the real one, which remembers what was asked for, and refuses some of it first."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

_PASSED_ON = ("Content-Type", "Retry-After", "Preference-Applied")

Refusal = tuple[int, int] | None
"""A status and its Retry-After; None: no answer at all, the connection is closed."""


class Relay(ThreadingHTTPServer):
    """Passes requests on to the server at ``target``, but first refuses as many checks of tokens as it is told."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.base = f"http://127.0.0.1:{self.server_port}"
        self.target = target
        self.issued = 0  # tokens that were asked for
        self.checks: list[Message] = []  # the headers of all requests for tokens' status
        self.refusals: list[Refusal] = []


class _Handler(BaseHTTPRequestHandler):
    server: Relay

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.issued += self.path.endswith("/completion_token")
        if "/completion_status" in self.path:
            self.server.checks.append(self.headers)
            if self.server.refusals:
                self._refuse(self.server.refusals.pop(0))
                return
        url = self.server.target + self.path
        answer = requests.request(self.command, url, data=body, headers=dict(self.headers.items()), timeout=90)
        passed_on = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        self._answer(answer.status_code, passed_on, answer.content)

    def _refuse(self, refusal: Refusal) -> None:
        if refusal is not None:
            status, retry_after = refusal
            self._answer(status, {"Retry-After": str(retry_after)}, b"{}")

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _serve  # noqa: N815  # as http.server wants

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def relaying(target: str) -> Iterator[Relay]:
    """A relay to the server at ``target``."""
    with Relay(target) as relay:
        thread = threading.Thread(target=relay.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()
