"""What must hold of a connector's tokens: never early, never lost, never undone, never stale."""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.robustness.crash.epochs import Epochs
from tests.robustness.crash.history import Call, Kind, Position, Progress
from tests.robustness.crash.order import reaches
from tests.robustness.crash.progress import Proven
from tests.robustness.crash.violation import Fault, Violation


class Truth:
    """What one connector's engine had really received and processed, and when."""

    def __init__(self, steps: Sequence[Progress]) -> None:
        self._steps = sorted(steps, key=lambda step: step.at)
        self._moments = [step.at for step in self._steps]
        self._of: dict[str, tuple[list[int], list[Position]]] = defaultdict(lambda: ([], []))
        for step in self._steps:
            moments, processed = self._of[step.label]
            moments.append(step.at)
            processed.append(step.processed)

    def needed(self, issue: Call) -> tuple[str, Position] | None:
        """The epoch of a token so issued and all that had been received before.

        None when nothing had been, or the engine started anew meanwhile: it is open then which epoch was meant.
        """
        before = bisect_left(self._moments, issue.begin)
        after = bisect_right(self._moments, issue.latest)
        if before == 0 or self._steps[before - 1].label != self._steps[after - 1].label:
            return None
        return self._steps[before - 1].label, self._steps[before - 1].received

    def processed(self, label: str, by: float) -> Position:
        """All that had been processed in the epoch by then."""
        moments, processed = self._of[label]
        place = bisect_right(moments, by)
        return processed[place - 1] if place else {}


def check_tokens(calls: Sequence[Call], epochs: Epochs, truth: Truth) -> Iterator[Violation]:
    """The violations among all calls on one connector."""
    checks: dict[str | None, list[Call]] = defaultdict(list)
    for call in calls:
        if call.kind is Kind.CHECK and call.known:
            checks[call.token].append(call)
    proven = Proven(calls, epochs)
    issues: dict[str | None, Call] = {}
    for call in calls:
        if call.kind is Kind.ISSUE and call.acknowledged:
            if call.token in issues:
                yield Violation(Fault.REUSED, "a token was issued twice", (issues[call.token], call))
            issues[call.token] = call
            known = sorted(checks[call.token], key=lambda check: check.begin)
            yield from _early(call, known, truth)
            yield from _lost(call, known, epochs)
            yield from _undone(call, known)
            yield from _stale(call, known, proven)


def _early(issue: Call, checks: Sequence[Call], truth: Truth) -> Iterator[Violation]:
    needed = truth.needed(issue)
    for check in checks:
        if check.complete and needed is not None:
            label, need = needed
            done = truth.processed(label, check.latest)
            if not reaches(done, need):
                yield Violation(Fault.EARLY, f"complete with {done} processed of {need} in {label}", (issue, check))


def _lost(issue: Call, checks: Sequence[Call], epochs: Epochs) -> Iterator[Violation]:
    for check in checks:
        if check.acknowledged:
            continue
        if check.code == "PipelineRestarted" and epochs.may_have_ended(issue, check):
            continue
        if check.code == "UnknownEndpointInCompletionToken" and epochs.may_be_unknown(check):
            continue
        yield Violation(Fault.LOST, f"an acknowledged token is answered by {check.status} {check.code}", (issue, check))


def _undone(issue: Call, checks: Sequence[Call]) -> Iterator[Violation]:
    """Complete is complete and lost is lost, unless the connector is removed."""
    complete = min((check for check in checks if check.complete), key=_end, default=None)
    lost = min((check for check in checks if check.code == "PipelineRestarted"), key=_end, default=None)
    for check in checks:
        if complete is not None and complete.latest < check.begin and _not_complete(check):
            yield Violation(Fault.UNDONE, "complete, and later not", (issue, complete, check))
        if lost is not None and lost.latest < check.begin and check.acknowledged:
            yield Violation(Fault.UNDONE, "lost with its epoch, and later not", (issue, lost, check))


def _stale(issue: Call, checks: Sequence[Call], proven: Proven) -> Iterator[Violation]:
    complete_from = proven.complete_from(issue)
    for check in checks if complete_from < math.inf else ():
        if complete_from < check.begin and _not_complete(check):
            yield Violation(Fault.STALE, "acknowledged reports have completed it, and it is not", (issue, check))


def _not_complete(check: Call) -> bool:
    """Whether the check denies what was complete; of a removed connector nothing is said."""
    return (check.acknowledged and not check.complete) or check.code == "PipelineRestarted"


def _end(call: Call) -> float:
    return call.latest
