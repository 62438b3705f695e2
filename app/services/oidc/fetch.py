"""A GET that is bounded in every way: for what an identity provider publishes."""

import io
import socket
import ssl
import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from app.config import is_safe_url

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_BYTES = 256 * 1024

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "tidemark",
}


class Unfetched(Exception):
    """It could not be had. The message says why, and holds nothing that came from outside."""


def get(url: str, deadline: float) -> bytes:
    """The content behind the URL, had before the deadline (of `time.monotonic`). Raises Unfetched.

    Only over HTTPS, or HTTP from this machine itself; no redirect is followed, no proxy used, and no more read than
    MOST_BYTES.
    """
    if not is_safe_url(url):
        raise Unfetched("the URL is neither https:// nor http:// to a loopback address")
    try:
        with _connect(parts := urlsplit(url), deadline) as connected:
            connection = HTTPConnection(parts.hostname or "", parts.port)
            connection.sock = _Hurried(connected, deadline)  # as much of a socket as it uses
            connection.request("GET", _target(parts), headers=_HEADERS)
            response = connection.getresponse()
            if response.status != HTTPStatus.OK:
                raise Unfetched(f"the answer is {response.status}")
            content = response.read(MOST_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:  # whose messages may hold what was answered
        raise Unfetched(type(error).__name__) from None
    if len(content) > MOST_BYTES:
        raise Unfetched(f"the answer is larger than {MOST_BYTES} bytes")
    return content


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _connect(parts: SplitResult, deadline: float) -> socket.socket:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    # Each address of the host gets that time, and looking it up takes its own; whoever waits for keys does not wait for
    # that (see Provider), and afterwards nothing is left.
    plain = socket.create_connection((host, port), timeout=_left(deadline))
    if parts.scheme == "http":
        return plain
    try:
        plain.settimeout(_left(deadline))
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Hurried:
    """A socket with one deadline for all that is done with it; a time-out starts anew with each byte that drips in."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected, self._deadline = connected, deadline

    def sendall(self, data: bytes) -> None:
        self._connected.settimeout(_left(self._deadline))
        self._connected.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connected, self._deadline))

    def close(self) -> None:
        """Whoever has opened it closes it: http.client would, while the answer is still to be read."""


class _Reader(io.RawIOBase):
    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._connected, self._deadline = connected, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        self._connected.settimeout(_left(self._deadline))
        return self._connected.recv_into(buffer)
