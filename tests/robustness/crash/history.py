"""What a crash run records: every call of every client, what the simulated engines really did, and every kill.

All times are nanoseconds of one process's monotonic clock. Of two calls one was certainly before the other if its end
is less than the other's beginning; nothing else is known of their order.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

Position = dict[str, int]
"""Component → exclusive next offset; the one component of a scalar position is named ``""``."""


class Kind(StrEnum):
    """What a client asked for."""

    REPORT = "report"
    READ = "read"
    ISSUE = "issue"
    CHECK = "check"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a client, or one report of a batch."""

    client: str
    kind: Kind
    connector: str
    begin: int
    end: int | None = None  # when the client stopped waiting; None: it still does
    status: int | None = None  # of the answer; None: there was none
    code: str | None = None  # the error_code of a refusal
    version: int | None = None  # the one acknowledged or read, or the current one that a 412 names
    # of a report
    if_match: int | None = None
    synchronous: bool = False
    label: str | None = None  # of the epoch; None, as the two positions, for one of status only
    received: Position | None = None
    completed: Position | None = None
    # of an issue that was answered, and of a check
    token: str | None = None
    complete: bool | None = None
    # of a check that was a wait
    wait: int | None = None  # its number among the client's: the same for all tokens that were waited for together
    until: str | None = None  # "all" of them, or "any"
    seconds: float | None = None  # how long it was to wait at most

    @property
    def known(self) -> bool:
        """Whether the outcome is known: a time-out, a reset or a 5xx tells nothing."""
        return self.end is not None and self.status is not None and self.status < 500

    @property
    def acknowledged(self) -> bool:
        """Whether it was answered as done."""
        return self.known and self.status is not None and self.status < 300

    @property
    def latest(self) -> float:
        """The latest moment at which it can have taken effect: one of unknown outcome may do so at any time."""
        return self.end if self.known and self.end is not None else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The truth: what an engine had received and processed from then on, in the epoch of this label."""

    at: int
    connector: str
    label: str
    received: Position
    processed: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Something was killed, and by ``end`` started again, where that is not done by others."""

    begin: int
    end: int
    kind: str


@dataclass(slots=True)
class History:
    """All that was recorded; any number of threads may add to it."""

    calls: list[Call] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    clock: Callable[[], int] = field(default=time.monotonic_ns, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def begin(self, **fields: Any) -> int:
        """Records that a call begins now, and answers its place."""
        with self._lock:
            self.calls.append(Call(begin=self.clock(), **fields))
            return len(self.calls) - 1

    def end(self, place: int, **fields: Any) -> Call:
        """Records that the call at that place ends now, and how."""
        ended = replace(self.calls[place], end=self.clock(), **fields)
        self.calls[place] = ended
        return ended

    def snapshot(self) -> "History":
        """What is recorded by now; calls under way are of unknown outcome."""
        calls = list(self.calls)  # first: whatever they rest on has been recorded before them
        return History(calls, list(self.progress), list(self.kills))

    def dump(self, file: Path) -> None:
        """Writes it as JSON lines, in the order of time."""
        rows: list[tuple[int, str, Any]] = [
            *((call.begin, "call", call) for call in self.calls),
            *((step.at, "progress", step) for step in self.progress),
            *((kill.begin, "kill", kill) for kill in self.kills),
        ]
        with file.open("w") as lines:
            for _, name, record in sorted(rows, key=lambda row: row[0]):
                said = {key: value for key, value in asdict(record).items() if value is not None}
                lines.write(json.dumps({"record": name, **said}) + "\n")

    @classmethod
    def load(cls, lines: Iterable[str]) -> "History":
        """Reads what `dump` wrote."""
        history = cls()
        for line in lines:
            said = json.loads(line)
            match said.pop("record"):
                case "call":
                    history.calls.append(Call(**said | {"kind": Kind(said["kind"])}))
                case "progress":
                    history.progress.append(Progress(**said))
                case "kill":
                    history.kills.append(Kill(**said))
        return history
