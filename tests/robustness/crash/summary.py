"""What happened in a run, counted; and whether it was enough to show anything."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tests.robustness.crash.history import Call, History, Kind
from tests.robustness.crash.waits import waits

LEAST_KILLS = 1 / 3  # a second, so 30 in 90 s
LEAST_ACKNOWLEDGED = 5000 / 90  # a second
LEAST_SLEPT = 1 / 3  # a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The counts of a history."""

    operations: Counter[tuple[Kind, str]]  # by kind and outcome
    refusals: Counter[str]  # by status and error_code
    kills: Counter[str]
    issued: int
    completed: int
    lost: int  # with their epoch or their connector
    undecided: int  # neither, at the end
    waits: int  # that were answered
    slept: int  # of these, those in which what was waited for is known to have become complete
    latest_wait_seconds: float  # after that
    outage_seconds: float  # the longest that a client saw

    @classmethod
    def of(cls, history: History) -> "Summary":
        """Counts."""
        checks = [call for call in history.calls if call.kind is Kind.CHECK and call.known]
        issued = [call.token for call in history.calls if call.kind is Kind.ISSUE and call.acknowledged]
        completed = {call.token for call in checks if call.complete}
        lost = {call.token for call in checks if call.status == 410}
        answered = list(waits(history))
        late = [wait.late for wait in answered if max(call.begin for call in wait.calls) < wait.since < math.inf]
        refused = [call for call in history.calls if call.status is not None and call.status >= 400]
        return cls(
            operations=Counter((call.kind, outcome(call)) for call in history.calls),
            refusals=Counter(f"{call.kind} {call.status} {call.code or ''}".rstrip() for call in refused),
            kills=Counter(kill.kind for kill in history.kills),
            issued=len(issued),
            completed=len(completed),
            lost=len(lost),
            undecided=len(set(issued) - completed - lost),
            waits=len(answered),
            slept=len(late),
            latest_wait_seconds=max(late, default=0),
            outage_seconds=max((_longest_outage(calls) for calls in _by_client(history.calls)), default=0) / 1e9,
        )

    @property
    def acknowledged(self) -> int:
        """All operations that were answered as done."""
        return sum(number for (_, how), number in self.operations.items() if how == "acknowledged")

    def shortfalls(self, seconds: float, kinds: Collection[str]) -> list[str]:
        """What is missing for a run of that length, with those kinds of kill, to show anything."""
        wanted = {
            f"{seconds * LEAST_KILLS:.0f} kills": self.kills.total() >= seconds * LEAST_KILLS,
            f"{seconds * LEAST_ACKNOWLEDGED:.0f} acknowledged operations": (
                self.acknowledged >= seconds * LEAST_ACKNOWLEDGED
            ),
            "tokens issued": self.issued > 0,
            "tokens completed": self.completed > 0,
            "tokens lost with an epoch": self.lost > 0,
            "an end for every token": self.undecided == 0,
            f"{seconds * LEAST_SLEPT:.0f} waits": self.slept >= seconds * LEAST_SLEPT,
            "calls of unknown outcome": any(how == "unknown" for _, how in self.operations),
        } | {f"a kill of kind {kind!r}": self.kills[kind] > 0 for kind in kinds}
        return [name for name, enough in wanted.items() if not enough]

    def __str__(self) -> str:
        """For people."""
        operations = (
            f"  {kind:8}{self.operations[kind, 'acknowledged']:10}{self.operations[kind, 'refused']:10}"
            f"{self.operations[kind, 'unknown']:10}"
            for kind in Kind
        )
        return "\n".join(
            [
                f"{'':8}acknowledged   refused   unknown",
                *operations,
                f"acknowledged operations: {self.acknowledged}",
                f"errors: {_counted(self.refusals)}",
                f"kills: {self.kills.total()} ({_counted(self.kills)})",
                f"tokens: {self.issued} issued, {self.completed} completed, {self.lost} gone with epoch or connector,"
                f" {self.undecided} undecided",
                f"waits: {self.waits} answered; {self.slept} of them when what they waited for was complete,"
                f" {self.latest_wait_seconds:.2f} s after that at most",
                f"longest outage seen by a client: {self.outage_seconds:.1f} s",
            ]
        )


def outcome(call: Call) -> str:
    """In one word."""
    if not call.known:
        return "unknown"
    return "acknowledged" if call.acknowledged else "refused"


def _by_client(calls: Iterable[Call]) -> Iterable[list[Call]]:
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        found[call.client].append(call)
    return found.values()


def _longest_outage(calls: list[Call]) -> int:
    """From the last answer before a call that got none to the next answer."""
    longest, answered, failed = 0, calls[0].begin, False
    for call in calls:
        if not call.known:
            failed = True
        elif call.end is not None:
            longest = max(longest, call.end - answered) if failed else longest
            answered, failed = call.end, False
    return longest


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "none"
