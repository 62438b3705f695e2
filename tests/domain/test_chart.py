from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.chart import LONGEST_RAW, MAX_POINTS, Kept, Resolution, chart
from app.domain.errors import InvalidParam

NOW = datetime(2026, 1, 31, 12, 34, 56, 789012, tzinfo=UTC)
KEPT = Kept(observations=NOW - timedelta(days=30), hours=NOW - timedelta(days=400))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

times = st.integers(0, 3_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(since=times, seconds=st.integers(1, 3000 * 86400), step=st.none() | st.integers(1, 90_000))
def test_a_chart_covers_its_span_by_whole_steps_or_is_refused(since: datetime, seconds: int, step: int | None) -> None:
    until = since + timedelta(seconds=seconds)
    try:
        drawn = chart(since, until, None if step is None else timedelta(seconds=step), KEPT)
    except InvalidParam:
        assert step is not None or seconds > 900 * 86400
        return
    steps = list(drawn.steps())
    assert len(steps) <= MAX_POINTS
    assert steps[0] <= since < steps[0] + drawn.step
    assert steps[-1] < until <= steps[-1] + drawn.step == drawn.until
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0)
    assert all((at - midnight) % min(drawn.step, DAY) == timedelta(0) for at in steps[:3])
    if drawn.resolution is Resolution.RAW:
        assert until - since <= LONGEST_RAW


@pytest.mark.parametrize(
    ("ago", "length", "step", "resolution"),
    [
        (HOUR, HOUR, 10, Resolution.RAW),
        (DAY, DAY, 300, Resolution.RAW),
        (2 * DAY, 2 * DAY, 900, Resolution.RAW),
        (3 * DAY, 3 * DAY, 3600, Resolution.HOURLY),
        (40 * DAY, HOUR, 3600, Resolution.HOURLY),
        (25 * DAY, 25 * DAY, 86400, Resolution.DAILY),
        (401 * DAY, HOUR, 86400, Resolution.DAILY),
    ],
)
def test_the_step_is_chosen_by_the_span_and_by_what_is_kept(
    ago: timedelta, length: timedelta, step: int, resolution: Resolution
) -> None:
    drawn = chart(NOW - ago, NOW - ago + length, None, KEPT)
    assert (drawn.step.total_seconds(), drawn.resolution) == (step, resolution)


@pytest.mark.parametrize("step", [7, 3601, 7200, 43200, 172800])
def test_a_step_that_rollups_cannot_give_is_refused(step: int) -> None:
    with pytest.raises(InvalidParam, match="step"):
        chart(NOW - HOUR, NOW, timedelta(seconds=step), KEPT)


def test_the_last_point_is_no_point_too_many() -> None:
    since = NOW.replace(minute=0, second=0, microsecond=0)
    assert len(list(chart(since, since + 1000 * HOUR, HOUR, KEPT).steps())) == 1000
    with pytest.raises(InvalidParam, match="1001 points"):
        chart(since, since + 1000 * HOUR + timedelta(microseconds=1), HOUR, KEPT)
