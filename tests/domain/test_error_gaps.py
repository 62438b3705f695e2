from hypothesis import given
from hypothesis import strategies as st

from app.domain.error_gaps import Gap, gaps


def test_what_is_missing_shows() -> None:
    assert list(gaps([3, 4, 9], 10)) == [Gap(1, 2), Gap(5, 8), Gap(10, 10)]
    assert list(gaps([], 3)) == [Gap(1, 3)]
    assert list(gaps([1, 1, 2], 2)) == []
    assert list(gaps([5], 1)) == [Gap(1, 4)], "of before a restart"


@given(st.lists(st.integers(1, 50)), st.integers(0, 60))
def test_the_gaps_are_what_is_counted_and_not_kept(indexes: list[int], counted: int) -> None:
    missing = [index for gap in gaps(sorted(indexes), counted) for index in range(gap.first, gap.last + 1)]
    assert missing == sorted(set(range(1, max([counted, *indexes]) + 1)) - set(indexes))
