"""When a connector's epochs may have ended, as far as its clients can know."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from tests.robustness.crash.history import Call, Kind
from tests.robustness.crash.order import Highest

_Window = tuple[float, float]  # in which something took effect, if it did


class Epochs:
    """The ends of one connector's epochs, and its removals.

    An epoch ends by the first accepted report of another label, or by a removal. Each happens, if at all, between the
    beginning of the first call that may have done it and the answer of the first one that did; nobody knows when.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        """``calls`` are all calls on the connector."""
        self.seen = Highest((call.latest, call.version) for call in calls if call.known and call.version)
        removals = list(_removals(calls, self.seen))
        windows = removals + _openings(calls, self.seen, removed=bool(removals))
        self._begins = sorted(begin for begin, _ in windows)
        self._ends = sorted(end for _, end in windows)
        self._latest_end = Highest(windows)
        self._latest_removal = Highest(removals)
        seen = [call for call in calls if call.acknowledged and call.kind in (Kind.REPORT, Kind.READ, Kind.ISSUE)]
        self._present = Highest((call.latest, call.begin) for call in seen)
        self._positioned = Highest(
            (call.latest, call.begin) for call in seen if call.kind is Kind.ISSUE or call.received is not None
        )

    def segment(self, call: Call) -> int | None:
        """The number of epoch ends before the call, if none can have fallen into it; equal numbers, equal epoch."""
        ended, begun = bisect_left(self._ends, call.begin), bisect_right(self._begins, call.latest)
        return ended if ended == begun else None

    def may_have_ended(self, issue: Call, check: Call) -> bool:
        """Whether the epoch of a token so issued may have ended by the end of that check."""
        return self._latest_end.by(check.latest) >= issue.begin

    def may_have_been_removed(self, begin: float, end: float) -> bool:
        """Whether a removal may have taken effect between these moments; before all, every connector is removed."""
        return self._latest_removal.by(end) >= begin

    def may_be_unknown(self, call: Call) -> bool:
        """Whether to this call the connector may be unknown: nobody had seen it, or it may have been removed since."""
        return self.may_have_been_removed(self._present.before(call.begin), call.latest)

    def may_lack_position(self, call: Call) -> bool:
        """Whether to this call the connector may have no position."""
        return self.may_have_been_removed(self._positioned.before(call.begin), call.latest)


def may_have_been_done(call: Call) -> bool:
    """Whether the call may have had its effect: it was not refused."""
    return call.acknowledged or not call.known


def _removals(calls: Sequence[Call], seen: Highest) -> Iterator[_Window]:
    """When the connector may have been removed.

    One removal of unknown outcome would excuse anything for ever. But it cannot have come between two versions of
    which the later was accepted on condition of the earlier, because to a removed connector no version is right.
    """
    asked = [call for call in calls if call.kind is Kind.REMOVE and may_have_been_done(call)]
    yield from ((call.begin, call.latest) for call in asked if call.known)
    possible: float = min((call.begin for call in asked if not call.known), default=math.inf)
    for begin, end in sorted(_unbroken(calls, seen)) if possible < math.inf else ():
        if begin > possible:
            yield possible, begin
        possible = max(possible, end)
    if possible < math.inf:
        yield possible, math.inf


def _unbroken(calls: Iterable[Call], seen: Highest) -> Iterator[_Window]:
    """The times in which each version was accepted on condition of the one before it."""
    conditional = [call for call in calls if call.kind is Kind.REPORT and call.acknowledged and call.if_match]
    conditional.sort(key=lambda call: call.version or 0)
    first: Call | None = None
    last: Call | None = None
    for call in conditional:
        if first is None or last is None or call.if_match != last.version:
            if first is not None and last is not None:
                yield seen.reached(first.if_match or 0), last.begin
            first = call
        last = call
    if first is not None and last is not None:
        yield seen.reached(first.if_match or 0), last.begin


def _openings(calls: Sequence[Call], seen: Highest, *, removed: bool) -> list[_Window]:
    """When each epoch label may have come into force, ending the epoch before it.

    A report against version 0 ends none: there is none then. A connector that was removed forgets which labels are
    closed, so from a straggler on labels may take turns: there, if it has several, any report may have ended an epoch,
    unless it is of the same label as the version that it was conditional on.
    """
    windows: dict[str | None, _Window] = {}
    attempts = [call for call in calls if call.label is not None and may_have_been_done(call)]
    for call in attempts:
        begin, end = windows.get(call.label, (math.inf, math.inf))
        windows[call.label] = min(begin, math.inf if call.if_match == 0 else call.begin), min(end, call.latest)
    if removed and len(windows) > 1:
        before = {call.version: call.label for call in attempts if call.acknowledged}
        turning = (call for call in attempts if call.if_match != 0 and before.get(call.if_match) != call.label)
        return [(call.begin, _latest(call, seen)) for call in turning]
    return [(begin, end) for begin, end in windows.values() if begin <= end]


def _latest(report: Call, seen: Highest) -> float:
    """When it can have taken effect at the latest: one on condition of a version, before anybody saw a newer one."""
    return min(report.latest, seen.reached(report.if_match + 1)) if report.if_match else report.latest
