"""What a connector's acknowledged reports prove to be completed, and by when."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence

from app.domain.frontier import MAX_CHECKPOINTS, MAX_FRONTIER_COMPONENTS
from tests.robustness.crash.epochs import Epochs
from tests.robustness.crash.history import Call, Kind, Position
from tests.robustness.crash.order import Highest, reaches


class Proven:
    """From when on a token must be complete.

    A token waits for a version two after the one that it saw, and a report begun after the token was answered is
    newer than that. So the version after the lowest of those reports is at least the one waited for, and once the
    acknowledged reports of its epoch prove that to be completed, the token is.
    """

    def __init__(self, calls: Sequence[Call], epochs: Epochs) -> None:
        """``calls`` are all calls on the connector."""
        accepted = [call for call in calls if call.kind is Kind.REPORT and call.acknowledged]
        accepted.sort(key=lambda call: call.version or 0)
        self._epochs = epochs
        self._synchronous = all(call.synchronous for call in calls if call.kind is Kind.REPORT)
        self._lowest_since = Highest((-call.begin, -(call.version or 0)) for call in accepted)
        self._completed = {segment: Highest(_completed(rows)) for segment, rows in _by_segment(accepted, epochs)}

    def complete_from(self, issue: Call) -> float:
        """The moment from which on a token so issued must be complete; infinity where nothing proves it."""
        completed = self._completed.get(self._epochs.segment(issue))
        if completed is None:
            return float("inf")
        newer = -self._lowest_since.before(-issue.latest)  # than the version that the token saw
        # A synchronous connector's token waits for a version that it saw.
        return completed.reached(newer - 1 if self._synchronous else newer + 1)


def _by_segment(accepted: Iterable[Call], epochs: Epochs) -> Iterable[tuple[int | None, list[Call]]]:
    """The reports with a position that are certainly of one epoch, by version."""
    found: dict[int | None, list[Call]] = defaultdict(list)
    for call in accepted:
        if call.received is not None:
            found[epochs.segment(call)].append(call)
    found.pop(None, None)
    return found.items()


def _completed(reports: Iterable[Call]) -> Iterator[tuple[float, float]]:
    """Moments, and the version that was completed by then at the least.

    What is completed is a report's version once a later one has completed all that the earlier had received. A frontier
    may have been thinned out since; that it was not is certain only while it cannot have grown too long, counted from a
    version known to be completed.
    """
    waiting: deque[Call] = deque()
    known: int | None = None
    for call in reports:
        received, done, version = call.received or {}, call.completed or {}, call.version or 0
        waiting.append(call)
        if reaches(done, received):
            known = version
            waiting.clear()
        elif known is not None and version - known <= _longest(received):
            while waiting and reaches(done, waiting[0].received or {}):
                known = waiting.popleft().version or 0
        else:
            continue
        yield call.latest, known


def _longest(received: Position) -> int:
    """How many checkpoints of such positions a frontier holds before it is thinned out."""
    return min(MAX_CHECKPOINTS, MAX_FRONTIER_COMPONENTS // max(1, len(received)))
