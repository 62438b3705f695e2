import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.position import MAX_COMPONENTS, MAX_OFFSET, Position

offsets = st.integers(0, 3) | st.sampled_from([MAX_OFFSET - 1, MAX_OFFSET])
positions = st.dictionaries(st.sampled_from("abc"), offsets).map(Position)


@given(st.one_of(offsets, st.dictionaries(st.sampled_from("abc"), offsets, min_size=1)))
def test_parse_and_to_json_are_inverse(value: object) -> None:
    assert Position.parse(value).to_json() == value


@given(positions)
def test_reaches_is_reflexive(p: Position) -> None:
    assert p.reaches(p)


@given(positions, positions, positions)
def test_reaches_is_transitive(p: Position, q: Position, r: Position) -> None:
    if p.reaches(q) and q.reaches(r):
        assert p.reaches(r)


@given(positions, positions)
def test_reaches_means_every_component_with_input_is_there_and_not_behind(p: Position, q: Position) -> None:
    expected = all(c in p.offsets and p.offsets[c] >= n for c, n in q.offsets.items() if n > 0)
    assert p.reaches(q) == expected


@given(positions, positions)
def test_nothing_lies_between_exactly_when_the_later_one_is_reached(p: Position, q: Position) -> None:
    assert (p.records_until(q) == 0) == p.reaches(q)


@given(positions, positions)
def test_a_position_without_regression_reaches_the_earlier_one(p: Position, q: Position) -> None:
    if p.regression_from(q) is None:
        assert p.reaches(q)


def test_positions_have_no_order() -> None:
    with pytest.raises(TypeError):
        sorted([Position.parse(2), Position.parse(1)])  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("completed", "received", "records"),
    [
        ({"0": 5}, {"0": 7}, 2),
        ({"0": 9}, {"0": 7}, 0),
        ({}, {"0": 7}, None),
        ({}, {"0": 0}, 0),
        ({"0": 7}, {"0": 7, "1": 0}, 0),
        ({"0": MAX_OFFSET, "1": 0}, {"0": MAX_OFFSET, "1": MAX_OFFSET}, MAX_OFFSET),
    ],
)
def test_records_until(completed: dict[str, int], received: dict[str, int], records: int | None) -> None:
    assert Position.parse(completed).records_until(Position.parse(received)) == records


@pytest.mark.parametrize(
    ("earlier", "later", "regression"),
    [
        (5, 5, None),
        (5, 4, ("", 5, 4)),
        ({"a": 1}, {"a": 1, "b": 0}, None),
        ({"a": 1, "b": 0}, {"a": 2}, ("b", 0, None)),
        (5, {"a": 9}, ("", 5, None)),
    ],
)
def test_regression_from(earlier: object, later: object, regression: object) -> None:
    assert Position.parse(later).regression_from(Position.parse(earlier)) == regression


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "7",
        1.0,
        -1,
        MAX_OFFSET + 1,
        [1],
        {"a": None},
        {"a": True},
        {"a": -1},
        {"": 1},
        {"a\n": 1},
        {1: 1},
        {"x" * 256: 1},
        {str(n): n for n in range(MAX_COMPONENTS + 1)},
    ],
)
def test_parse_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"must be|has \d+ components"):
        Position.parse(value)
