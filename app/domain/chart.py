"""The steps of a chart: which are asked for, where they begin, and from what they are read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from app.domain.errors import InvalidParam

MAX_POINTS = 1000
LONGEST_RAW = timedelta(days=2)
"""So much is read of observations, at most, for one chart."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_YEARS = range(1970, 3000)
_PLEASANT_POINTS = 500
_LADDER = (*(timedelta(seconds=n) for n in (10, 30, 60, 300, 900)), _HOUR, _DAY)


class Resolution(Enum):
    """What a chart is read from."""

    RAW = "raw"  # the observations themselves
    HOURLY = "hourly"
    DAILY = "daily"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Since when there is something to be read."""

    observations: datetime
    hours: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Steps of one length, from ``since``, inclusive, to ``until``, exclusive: both are multiples of it in UTC."""

    since: datetime
    until: datetime
    step: timedelta

    @property
    def resolution(self) -> Resolution:
        """What it is read from."""
        if self.step < _HOUR:
            return Resolution.RAW
        return Resolution.HOURLY if self.step == _HOUR else Resolution.DAILY

    def steps(self) -> Iterator[datetime]:
        """When each begins."""
        at = self.since
        while at < self.until:
            yield at
            at += self.step


def chart(since: datetime, until: datetime, step: timedelta | None, kept: Kept) -> Chart:
    """The chart of that span, widened to whole steps; without a step, of one that shows it well.

    Raises InvalidParam.
    """
    if not (since.year in _YEARS and until.year in _YEARS):
        raise InvalidParam(f"from, to: must be of the years {_YEARS[0]} to {_YEARS[-1]}")
    if since >= until:
        raise InvalidParam("from: must be earlier than to")
    drawn = _aligned(since, until, _fitting(since, until, kept) if step is None else _allowed(step))
    if (points := (drawn.until - drawn.since) // drawn.step) > MAX_POINTS:
        raise InvalidParam(f"step: would give {points} points, where {MAX_POINTS} are the most")
    if drawn.resolution is Resolution.RAW and until - since > LONGEST_RAW:
        raise InvalidParam(f"step: of less than an hour is for {LONGEST_RAW.days} days at most")
    return drawn


def _allowed(step: timedelta) -> timedelta:
    if step == _DAY or (step and not _HOUR % step):
        return step
    raise InvalidParam("step: must be a number of seconds that 3600 is a multiple of, or 86400")


def _fitting(since: datetime, until: datetime, kept: Kept) -> timedelta:
    """The shortest that gives a pleasant number of points, and of which all is kept."""
    for step in _LADDER:
        if step < _HOUR and (since < kept.observations or until - since > LONGEST_RAW):
            continue
        if step == _HOUR and since < kept.hours:
            continue
        if (until - since) / step <= _PLEASANT_POINTS:
            return step
    return _DAY


def _aligned(since: datetime, until: datetime, step: timedelta) -> Chart:
    return Chart(since=since - (since - _EPOCH) % step, until=until + (_EPOCH - until) % step, step=step)
