"""Histories written by hand: each breaks the promise in one way, and beside it the nearest one that does not."""

from dataclasses import dataclass
from typing import Any

from tests.robustness.crash.history import Call, History, Kill, Kind, Progress
from tests.robustness.crash.violation import Fault

Record = Call | Progress | Kill


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A broken history and a sound one that differ in as little as possible."""

    fault: Fault
    broken: tuple[Record, ...]
    sound: tuple[Record, ...]


def history(records: tuple[Record, ...]) -> History:
    """The history of these records."""
    calls = [record for record in records if isinstance(record, Call)]
    kills = [record for record in records if isinstance(record, Kill)]
    return History(calls, [record for record in records if isinstance(record, Progress)], kills)


def call(kind: Kind, begin: int, end: int | None, **fields: Any) -> Call:
    return Call(client="c", kind=kind, connector="p.t.c", begin=begin, end=end, **fields)


def truth(at: int, received: int, processed: int, label: str = "run-1") -> Progress:
    return Progress(at=at, connector="p.t.c", label=label, received={"": received}, processed={"": processed})


def report(begin: int, number: int, at: tuple[int, int] | None = (0, 0), /, **fields: Any) -> Call:
    """One that takes two units of time, against the version before, of (received, completed) or status only."""
    said: dict[str, Any] = {"status": 204, "if_match": number - 1, "version": number}
    if at is not None:
        said |= {"label": "run-1", "received": {"": at[0]}, "completed": {"": at[1]}}
    return call(Kind.REPORT, begin, begin + 2, **said | fields)


def unanswered(begin: int, number: int, /, **fields: Any) -> Call:
    return report(begin, number, **{"version": None, "status": None} | fields)


def read(begin: int, version: int) -> Call:
    return call(Kind.READ, begin, begin + 2, status=200, version=version)


def unknown(begin: int) -> Call:
    return call(Kind.READ, begin, begin + 2, status=404, code="UnknownInputEndpoint")


def issue(begin: int, **fields: Any) -> Call:
    return call(Kind.ISSUE, begin, begin + 2, **{"status": 200, "token": "a"} | fields)


def complete(begin: int) -> Call:
    return call(Kind.CHECK, begin, begin + 2, status=200, token="a", complete=True)


def waited(begin: int, end: int, **fields: Any) -> Call:
    """A check that waited, for one token or for several."""
    said: dict[str, Any] = {"status": 200, "token": "a", "complete": True, "wait": 0, "until": "all"}
    return call(Kind.CHECK, begin, end, **said | fields)


def in_progress(begin: int) -> Call:
    return call(Kind.CHECK, begin, begin + 2, status=202, token="a", complete=False)


def gone(begin: int, code: str, status: int = 410) -> Call:
    return call(Kind.CHECK, begin, begin + 2, status=status, token="a", code=code)


def remove(begin: int, status: int | None = 204) -> Call:
    return call(Kind.REMOVE, begin, begin + 2, status=status)


STARTED = (truth(1, 0, 0), report(2, 1))
KNOWN = (*STARTED, issue(10))
NEW_EPOCH = {"label": "run-2"}
RESTARTED = "PipelineRestarted"
REMOVED = "UnknownEndpointInCompletionToken"
SECOND = (*STARTED, report(5, 2, **NEW_EPOCH))
TURNS = (*SECOND, remove(8), report(11, 3, if_match=0))  # a straggler of run-1, when no label is closed any more
