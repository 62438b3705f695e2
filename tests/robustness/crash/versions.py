"""What must hold of a connector's versions: none is given twice, and what was acknowledged shows."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.robustness.crash.epochs import Epochs, may_have_been_done
from tests.robustness.crash.history import Call, Kind
from tests.robustness.crash.order import Highest
from tests.robustness.crash.violation import Fault, Violation


def check_versions(calls: Sequence[Call], epochs: Epochs) -> Iterator[Violation]:
    """The violations among all calls on one connector."""
    reports = [call for call in calls if call.kind is Kind.REPORT]
    showing = [call for call in calls if call.known and call.version]
    yield from _reused(sorted((call for call in reports if call.acknowledged), key=_version), epochs)
    yield from _stale(showing, epochs.seen)
    yield from _phantom(showing, [call for call in reports if may_have_been_done(call)])
    for call in calls:
        yield from _unexpected(call, epochs)


def _version(call: Call) -> int:
    return call.version or 0


def _reused(accepted: Sequence[Call], epochs: Epochs) -> Iterator[Violation]:
    """``accepted`` are the acknowledged reports, by version."""
    for earlier, later in pairwise(accepted):
        if earlier.version == later.version:
            yield Violation(Fault.REUSED, "two reports were given one version", (earlier, later))
    for call in accepted:
        newest = epochs.seen.before(call.begin)
        if _version(call) <= newest:
            yield Violation(Fault.REUSED, f"a report got no newer version than {newest}, seen before", (call,))
        if call.if_match and call.version != call.if_match + 1:
            yield Violation(Fault.REUSED, "the version is not the one after If-Match", (call,))
    yield from _first_twice([call for call in accepted if call.if_match == 0], epochs)


def _first_twice(first: Sequence[Call], epochs: Epochs) -> Iterator[Violation]:
    """``first`` are the acknowledged reports against version 0, which a connector has anew only once removed."""
    for earlier, later in pairwise(first):
        if not epochs.may_have_been_removed(earlier.begin, later.latest):
            yield Violation(Fault.REUSED, "two reports were each the first, and nothing was removed", (earlier, later))
    for call in first:
        if call.version != 1 and not epochs.may_have_been_removed(0, call.latest):
            yield Violation(Fault.REUSED, "a first report has another version than 1", (call,))


def _stale(showing: Sequence[Call], seen: Highest) -> Iterator[Violation]:
    for call in showing:
        newest = seen.before(call.begin)
        if call.kind is not Kind.REPORT or not call.acknowledged:
            if _version(call) < newest:
                yield Violation(Fault.STALE, f"an older version shows than {newest}, seen before", (call,))
            if call.kind is Kind.REPORT and call.version == call.if_match:
                yield Violation(Fault.UNEXPECTED, "refused for the version that it named", (call,))


def _phantom(showing: Sequence[Call], attempts: Sequence[Call]) -> Iterator[Violation]:
    begins = sorted(call.begin for call in attempts)
    for call in showing:
        possible = bisect_right(begins, call.latest)
        if _version(call) > possible:
            yield Violation(Fault.PHANTOM, f"only {possible} reports may have been accepted", (call,))


def _unexpected(call: Call, epochs: Epochs) -> Iterator[Violation]:
    """An answer, other than a check's, that the protocol does not give."""
    if call.status == 500:
        yield Violation(Fault.UNEXPECTED, "a defect, where nothing but 503 may be said", (call,))
    if not call.known or call.acknowledged or call.kind is Kind.CHECK:
        return
    if _says_unknown(call):
        if not epochs.may_be_unknown(call):
            yield Violation(Fault.STALE, "its connector is said to be unknown", (call,))
    elif call.kind is Kind.ISSUE and call.code == "NoStreamPosition":
        if not epochs.may_lack_position(call):
            yield Violation(Fault.STALE, "its connector is said to have no position", (call,))
    elif not (call.kind is Kind.REPORT and call.status == 412):
        yield Violation(Fault.UNEXPECTED, "refused for no reason", (call,))


def _says_unknown(call: Call) -> bool:
    if call.kind is Kind.REPORT:
        return call.status == 412 and call.version == 0
    return call.status == 404 and call.code in ("UnknownPipelineName", "UnknownInputEndpoint")
