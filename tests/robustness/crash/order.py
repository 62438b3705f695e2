"""Questions about the order of many events, each answered in O(log n)."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate

from tests.robustness.crash.history import Position


class Highest:
    """The highest value up to any moment, of (moment, value) pairs in any order."""

    def __init__(self, pairs: Iterable[tuple[float, float]]) -> None:
        ordered = sorted(pairs)
        self._moments = [moment for moment, _ in ordered]
        self._highest = list(accumulate((value for _, value in ordered), max))

    def before(self, moment: float) -> float:
        """The highest value before that moment, minus infinity if there is none."""
        place = bisect_left(self._moments, moment)
        return self._highest[place - 1] if place else -math.inf

    def by(self, moment: float) -> float:
        """The highest value up to that moment, which counts, minus infinity if there is none."""
        place = bisect_right(self._moments, moment)
        return self._highest[place - 1] if place else -math.inf

    def reached(self, value: float) -> float:
        """The first moment with at least that value, infinity if there is none."""
        place = bisect_left(self._highest, value)
        return self._moments[place] if place < len(self._highest) else math.inf


def reaches(done: Position, need: Position) -> bool:
    """Whether everything before ``need`` is before ``done``: in each component that has any input at all."""
    return all(done.get(component, -1) >= offset for component, offset in need.items() if offset > 0)
