"""Server-sent events: what a stream tells, in the format of the HTML standard (§9.2)."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from app.api.stats_json import dump
from app.api.tokens import token_status
from app.domain.event_order import Cursor
from app.domain.status import format_time
from app.services.follow import RESUMABLE, Reset, Settled, Stream
from app.store.events import RecordedEvent

_RETRY_MILLISECONDS = (1000, 3000)  # when to come back: not all at once, after a restart


def body(stream: Stream, held: ExitStack) -> Iterator[bytes]:
    """The stream as bytes, an event or a comment each; what it holds is let go of at its end."""
    with held:
        yield b"retry: %d\n" % random.randint(*_RETRY_MILLISECONDS)  # noqa: S311 - no secret
        for happening, cursor in stream:
            yield _block(happening, cursor)


def _block(happening: RecordedEvent | Settled | Reset | None, cursor: Cursor) -> bytes:
    """Its id is a client's place also where there is nothing to tell."""
    where = f"id: {cursor}\n".encode()
    match happening:
        case RecordedEvent():
            return where + b"event: connector\ndata: " + dump(transition(happening)) + b"\n"
        case Settled():
            told = {"token": happening.token} | token_status(happening.outcome)
            return where + b"event: token\ndata: " + dump(told) + b"\n"
        case Reset():
            return where + b"event: reset\ndata: " + dump(_RESET) + b"\n"
        case None:
            return b": alive\n" + where + b"\n"


_RESET = {
    "message": f"The id is older than {RESUMABLE.total_seconds() / 60:.0f} minutes, or of before the database was"
    " restored: transitions since then are not told. Read the connectors' status anew"
}


def transition(event: RecordedEvent) -> dict[str, Any]:
    """A transition's members."""
    return {
        "pipeline": event.pipeline,
        "table": event.table,
        "connector": event.connector,
        "kind": event.place.kind,
        "version": event.place.version,
        "at": format_time(event.at),
        "details": event.details,
    }
