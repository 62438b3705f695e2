"""What must hold of those who wait: nobody sleeps on for long once what he waits for is complete."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.services.waiters import RECHECK_SECONDS
from tests.robustness.crash.epochs import Epochs
from tests.robustness.crash.history import Call, History, Kill, Kind
from tests.robustness.crash.progress import Proven
from tests.robustness.crash.violation import Fault, Violation

LOOK_SECONDS = 2.0  # that a look at the database may take: the server's REQUEST_TIMEOUT
CALM_SECONDS = RECHECK_SECONDS + 2 * LOOK_SECONDS
"""How late a wait may end: those asleep are looked after once in a period, and whoever is woken looks for himself."""

RAGE_SECONDS = CALM_SECONDS + 5.0
"""The same among kills, where a look may fail, and the next one too."""

_AFTERMATH_SECONDS = LOOK_SECONDS + 1.0  # of a kill: Postgres recovers from a backend's, which nobody waits for
_HARMLESS = "worker"  # its own waits are never answered, and those of the others do not notice


@dataclass(frozen=True, slots=True)
class Wait:
    """One that was answered."""

    calls: Sequence[Call]  # one for each token
    since: float  # the moment from which it was to end; infinity, where nothing proves that

    @property
    def end(self) -> float:
        """When the answer was there."""
        return min(call.latest for call in self.calls)

    @property
    def late(self) -> float:
        """How long after that it ended, in seconds, if it did."""
        return (self.end - self.since) / 1e9

    def late_but_for(self, kills: Sequence[Kill]) -> float:
        """The same without the time in which something killed was not up again."""
        down = sum(max(0, min(self.end, kill.end) - max(self.since, kill.begin)) for kill in kills)
        return self.late - down / 1e9


def waits(history: History) -> Iterator[Wait]:
    """Every wait that was answered."""
    together: dict[tuple[str, int], list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.wait is not None and call.known:
            together[call.client, call.wait].append(call)
    complete_from = _complete_from(history) if together else {}
    for group in together.values():
        moments = [complete_from.get(call.token, math.inf) for call in group]
        enough = min(moments) if group[0].until == "any" else max(moments)
        yield Wait(group, max(enough, *(call.begin for call in group)))


def check_waits(history: History) -> Iterator[Violation]:
    """The violations among all waits."""
    kills = [kill for kill in history.kills if kill.kind != _HARMLESS]
    for wait in waits(history):
        if wait.late <= CALM_SECONDS:
            continue
        near = [kill for kill in kills if kill.end > wait.since - _AFTERMATH_SECONDS * 1e9 and kill.begin < wait.end]
        late = wait.late_but_for(near)
        if late > (RAGE_SECONDS if near else CALM_SECONDS):
            yield Violation(Fault.OVERSLEPT, f"answered {late:.1f} s after what was waited for", tuple(wait.calls))


def _complete_from(history: History) -> dict[str | None, float]:
    """The moment from which on each token must be complete."""
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        calls[call.connector].append(call)
    moments: dict[str | None, float] = {}
    for own in calls.values():
        proven = Proven(own, Epochs(own))
        issued = (call for call in own if call.kind is Kind.ISSUE and call.acknowledged)
        moments |= {call.token: proven.complete_from(call) for call in issued}
    return moments
