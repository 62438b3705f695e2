"""How fast a connector completes its input, and when it will have come so far: measured, never assumed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.position import Position

LONGEST = timedelta(days=366)
"""An estimate of something further away is none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was recorded as completed at some moment; None: it was not known."""

    at: datetime
    completed: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What was completed between two samples of one epoch."""

    since: datetime
    until: datetime  # later than since
    completed: Mapping[str, int]  # records, of each component that was known both times

    @property
    def records(self) -> int:
        """Those of all components."""
        return sum(self.completed.values())

    def per_second(self, records: int) -> float:
        """So many records of the basis as a rate."""
        return records / (self.until - self.since).total_seconds()


def measure(earlier: Sample | None, later: Sample | None) -> Rate | None:
    """The rate between two samples of one epoch.

    None (unknown) when either is missing, no time lies between them, they have no component in common, or a component
    went back: of a consumer that was rewound in between, the difference says nothing.
    """
    if earlier is None or later is None or later.at <= earlier.at:
        return None
    if earlier.completed is None or later.completed is None:
        return None
    before, after = earlier.completed.offsets, later.completed.offsets
    completed = {name: after[name] - offset for name, offset in before.items() if name in after}
    if not completed or min(completed.values()) < 0:
        return None
    return Rate(since=earlier.at, until=later.at, completed=completed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """When missing input will be completed, if everything goes on at the rate that was measured."""

    at: datetime
    component: str  # the one that takes the longest
    records_per_second: float  # of that component

    def seconds_from(self, now: datetime) -> float:
        """How long that is, from now on."""
        return (self.at - now).total_seconds()


def estimate(rate: Rate | None, missing: Mapping[str, int | None], now: datetime) -> Estimate | None:
    """When the last of the components will have completed what it is missing, which is counted from the rate's end.

    Never before ``now``. None where it is not known: without a rate, for a component that did not move or whose missing
    records are unknown, and for what is further away than `LONGEST`.
    """
    if rate is None or not missing:
        return None
    seconds: dict[str, float] = {}
    for name, records in missing.items():
        moved = rate.completed.get(name, 0)
        if records is None or moved == 0:
            return None
        seconds[name] = records / rate.per_second(moved)
    slowest = max(seconds, key=seconds.__getitem__)
    if seconds[slowest] > LONGEST.total_seconds():
        return None
    at = max(now, rate.until + timedelta(seconds=seconds[slowest]))
    return Estimate(at=at, component=slowest, records_per_second=rate.per_second(rate.completed[slowest]))
