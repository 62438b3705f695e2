"""Rates and estimates: measured between two samples, null rather than invented."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.position import MAX_OFFSET, Position
from app.domain.rate import LONGEST, Rate, Sample, estimate, measure

START = datetime(2026, 1, 1, tzinfo=UTC)

offsets = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50) | st.integers(0, MAX_OFFSET), max_size=4)
spans = st.integers(1, 10**9).map(lambda micros: timedelta(microseconds=micros))


def at(seconds: float, completed: Mapping[str, int] | int | None) -> Sample:
    position = None if completed is None else Position.parse(completed)
    return Sample(START + timedelta(seconds=seconds), position)


def rate_of(completed: Mapping[str, int], span: timedelta = timedelta(seconds=10)) -> Rate:
    return Rate(since=START, until=START + span, completed=completed)


@given(offsets, offsets, spans)
def test_a_rate_counts_each_component_known_both_times(
    before: dict[str, int], after: dict[str, int], span: timedelta
) -> None:
    rate = measure(Sample(START, Position(before)), Sample(START + span, Position(after)))
    both = {name for name in before if name in after}
    if not both or any(after[name] < before[name] for name in both):
        assert rate is None
        return
    assert rate is not None
    assert (rate.since, rate.until) == (START, START + span)
    assert rate.records == sum(after[name] for name in both) - sum(before[name] for name in both)
    assert rate.per_second(rate.records) >= 0
    assert rate.per_second(rate.records) == pytest.approx(rate.records * 10**6 / (span // timedelta(microseconds=1)))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (None, at(1, 5)),
        (at(0, 5), None),
        (at(0, None), at(1, 5)),
        (at(0, 5), at(1, None)),
        (at(1, 5), at(1, 6)),
        (at(2, 5), at(1, 6)),
        (at(0, {"a": 5}), at(1, {"b": 6})),
        (at(0, 5), at(1, 4)),
        (at(0, {"a": 5, "b": 5}), at(1, {"a": 99, "b": 4})),
    ],
)
def test_a_rate_is_unknown_without_two_samples_of_something_that_only_grew(
    earlier: Sample | None, later: Sample | None
) -> None:
    assert measure(earlier, later) is None


missing_records = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 10**6), min_size=1, max_size=4)
moved_records = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10**6), min_size=1, max_size=4)


@given(moved_records, missing_records, spans, st.integers(-1000, 10**6))
def test_an_estimate_is_that_of_the_slowest_component_and_never_past(
    moved: dict[str, int], missing: dict[str, int], span: timedelta, later: int
) -> None:
    now = START + span + timedelta(seconds=later)
    found = estimate(rate_of(moved, span), missing, now)
    if any(moved.get(name, 0) == 0 for name in missing):
        assert found is None
        return
    micros = {
        name: Fraction(records * (span // timedelta(microseconds=1)), moved[name]) for name, records in missing.items()
    }
    longest = max(micros.values())
    if longest > LONGEST // timedelta(microseconds=1) + 1:
        assert found is None
        return
    if longest < LONGEST // timedelta(microseconds=1) - 1:
        assert found is not None
        assert found.at >= now
        assert found.seconds_from(now) >= 0
        due = START + span + timedelta(microseconds=float(longest))
        assert abs(found.at - max(now, due)) <= timedelta(milliseconds=1)
        assert float(micros[found.component]) == pytest.approx(float(longest))
        assert found.records_per_second == pytest.approx(moved[found.component] / span.total_seconds())


def test_there_is_no_estimate_of_what_is_not_known() -> None:
    now = START + timedelta(seconds=11)
    assert estimate(None, {"a": 5}, now) is None
    assert estimate(rate_of({"a": 5}), {}, now) is None
    assert estimate(rate_of({"a": 5}), {"a": None}, now) is None
    assert estimate(rate_of({"a": 5, "b": 5}), {"a": 5, "b": None}, now) is None
    assert estimate(rate_of({"a": 5}), {"a": 5, "b": 5}, now) is None, "b was not there when the rate was measured"
    assert estimate(rate_of({"a": 5, "b": 0}), {"a": 5, "b": 1}, now) is None, "b did not move"


def test_an_estimate_further_away_than_can_be_told_is_none() -> None:
    day = timedelta(days=1)
    assert estimate(rate_of({"a": 1}, day), {"a": 366}, START) is not None
    assert estimate(rate_of({"a": 1}, day), {"a": 367}, START) is None
    assert estimate(rate_of({"a": 1}, timedelta(days=1000)), {"a": MAX_OFFSET}, START) is None
