"""The protocols of Postgres and HTTP, as far as to tell where a request ends and where its answer does."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """All that a sender sends before it waits for an answer."""

    raw: bytes
    text: str = ""  # the SQL statement it executes, or HTTP's request line
    commits: tuple[str, ...] = ()  # the SQL statements that it makes durable


class Wire(Protocol):
    """One connection's protocol: where a request ends, and where its answer does."""

    def requests(self, data: bytes) -> Iterator[Request]:
        """The requests that are whole now that the sender has sent this too."""

    def answers(self, data: bytes) -> int:
        """How many answers are whole now that the server has sent this too."""


class PostgresWire:
    """Protocol 3 in clear. A request ends with Sync or is a simple Query, its answer ends with ReadyForQuery."""

    def __init__(self) -> None:
        self._sent, self._received = b"", b""
        self._started = False
        self._request = b""
        self._statements: dict[bytes, str] = {}  # prepared, by name
        self._bound = ""
        self._executed = ""
        self._transaction: list[str] = []
        self._idle = True

    def requests(self, data: bytes) -> Iterator[Request]:
        self._sent += data
        while (message := self._next_message()) is not None:
            kind, body = message
            self._note(kind, body)
            if kind not in b"PBDECH":  # Parse, Bind, Describe, Execute, Close, Flush: more is to come
                yield self._whole_request()

    def answers(self, data: bytes) -> int:
        self._received += data
        ready = 0
        while len(self._received) >= 5:
            size = 1 + int.from_bytes(self._received[1:5])
            if len(self._received) < size:
                break
            message, self._received = self._received[:size], self._received[size:]
            if message[:1] == b"Z":  # ReadyForQuery
                ready += 1
                self._idle = message[5:] == b"I"
                if self._idle:
                    self._transaction.clear()
        return ready

    def _next_message(self) -> tuple[bytes, bytes] | None:
        head = 1 if self._started else 0  # the first message has no kind
        size = head + int.from_bytes(self._sent[head : head + 4])
        if len(self._sent) < max(size, head + 4):
            return None
        message, self._sent = self._sent[:size], self._sent[size:]
        self._started = True
        self._request += message
        return message[:head] or b"startup", message[head + 4 :]

    def _note(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":
            name, sql, _ = body.split(b"\0", 2)
            self._statements[name] = sql.decode()
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            self._bound = self._statements[name]
        elif kind == b"E":
            self._executed = self._bound
        elif kind == b"Q":
            self._executed = body.rstrip(b"\0").decode()

    def _whole_request(self) -> Request:
        text, raw = self._executed, self._request
        self._executed, self._request = "", b""
        commits: tuple[str, ...] = ()
        if text == "COMMIT":
            commits = tuple(self._transaction)
        elif text and not text.startswith("BEGIN"):
            commits = (text,) if self._idle else ()
            self._transaction.append(text)
        return Request(raw, text, commits)


class HttpWire:
    """HTTP/1.1 without chunks, which Tidemark does not send."""

    def __init__(self) -> None:
        self._sent, self._received = b"", b""

    def requests(self, data: bytes) -> Iterator[Request]:
        self._sent += data
        while size := _message_size(self._sent):
            raw, self._sent = self._sent[:size], self._sent[size:]
            yield Request(raw, raw.partition(b"\r\n")[0].decode())

    def answers(self, data: bytes) -> int:
        self._received += data
        answered = 0
        while size := _message_size(self._received):
            self._received = self._received[size:]
            answered += 1
        return answered


def _message_size(data: bytes) -> int:
    """How long the message is that the data begins with; 0 when it is not whole."""
    head, separator, _ = data.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    size = len(head) + len(separator) + (int(length[1]) if length else 0)
    return size if separator and size <= len(data) else 0
