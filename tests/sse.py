"""A client of server-sent events, as the HTML standard (§9.2) has it, for tests over HTTP."""

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.Timeout)


@dataclass(frozen=True, slots=True)
class Event:
    """What was received up to an empty line. Without a name it is no event to a browser, which still notes its id."""

    id: str
    name: str
    data: Any
    retry: str = ""


def parse(pieces: Iterable[bytes]) -> Iterator[Event]:
    """The events in a stream, each as soon as it is there."""
    fields: dict[str, str] = {}
    for line in _lines(pieces):
        name, colon, value = line.partition(":")
        if name:
            assert colon, line
            fields[name] = value.removeprefix(" ")
        elif not colon and fields:
            data = json.loads(fields["data"]) if "data" in fields else None
            yield Event(fields["id"], fields.get("event", ""), data, fields.get("retry", ""))
            fields = {}


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)


class EventSource:
    """Connects, and comes back with the id of the last thing received, as often as it is told to."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, last_id: str = "") -> None:
        self.url, self.headers, self.last_id = url, headers or {}, last_id

    def ask(self) -> requests.Response:
        """The answer as it begins."""
        resume = {"Last-Event-ID": self.last_id} if self.last_id else {}
        return requests.get(self.url, headers={**self.headers, **resume}, stream=True, timeout=30)

    @contextmanager
    def connected(self) -> Iterator[Iterator[Event]]:
        """What is received, until the server ends it or the block is left, which hangs up."""
        with self.ask() as answer:
            assert answer.status_code == 200, answer.text
            yield self.received(answer)

    def received(self, answer: requests.Response) -> Iterator[Event]:
        """What comes, noting where it has come to."""
        for event in parse(answer.iter_content(None)):
            self.last_id = event.id
            yield event

    def receive(self, count: int) -> list[Event]:
        """So many named events. It comes back where the server has ended the stream, for it does so when it stops."""
        received: list[Event] = []
        while True:
            with self.connected() as events:
                named = (event for event in events if event.name)
                received += itertools.islice(named, count - len(received))
            if len(received) == count:
                return received
            time.sleep(0.1)

    def rest(self) -> list[Event]:
        """All named events until the server ends the stream."""
        with self.connected() as events:
            return [event for event in events if event.name]
