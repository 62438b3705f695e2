import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.frontier import (
    MAX_CHECKPOINTS,
    MAX_FRONTIER_COMPONENTS,
    Checkpoint,
    Frontier,
    advance,
    append,
    lag,
    thin,
)
from app.domain.position import MAX_COMPONENTS, Position

START = datetime(2026, 1, 1, tzinfo=UTC)

growth = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40)


def frontier_of(steps: list[tuple[int, int]]) -> Frontier:
    frontier: Frontier = ()
    a = b = 0
    for version, (more_a, more_b) in enumerate(steps, 1):
        a, b = a + more_a, b + more_b
        at = START + timedelta(seconds=version)
        frontier = append(frontier, Checkpoint(version, Position({"a": a, "b": b}), at))
    return frontier


@given(growth)
def test_append_keeps_one_checkpoint_per_position_with_its_newest_version_and_oldest_time(
    steps: list[tuple[int, int]],
) -> None:
    frontier = frontier_of(steps)
    assert len({tuple(c.received.offsets.items()) for c in frontier}) == len(frontier)
    assert [c.version for c in frontier] == sorted({c.version for c in frontier})
    assert not steps or frontier[-1].version == len(steps)
    assert all(c.at <= START + timedelta(seconds=c.version) for c in frontier)


@given(growth, st.integers(0, 60), st.integers(0, 60))
def test_advance_drops_exactly_what_is_reached(steps: list[tuple[int, int]], a: int, b: int) -> None:
    frontier, completed = frontier_of(steps), Position({"a": a, "b": b})
    left, dropped = advance(frontier, completed)
    reached = [c for c in frontier if completed.reaches(c.received)]
    assert left == tuple(c for c in frontier if c not in reached)
    assert dropped == (reached[-1].version if reached else None)


@given(growth)
def test_unknown_completed_advances_nothing(steps: list[tuple[int, int]]) -> None:
    frontier = frontier_of(steps)
    assert advance(frontier, None) == (frontier, None)


@given(st.integers(1, 400), st.integers(1, MAX_COMPONENTS))
def test_thin_keeps_both_ends_and_some_of_the_whole_checkpoints_between(length: int, components: int) -> None:
    frontier = tuple(
        Checkpoint(v, Position(dict.fromkeys(map(str, range(components)), v)), START) for v in range(1, length + 1)
    )
    thinned = thin(frontier)
    assert all(checkpoint in frontier for checkpoint in thinned)
    assert (thinned[0], thinned[-1]) == (frontier[0], frontier[-1])
    assert len(thinned) <= MAX_CHECKPOINTS
    assert len(thinned) * components <= MAX_FRONTIER_COMPONENTS


def test_thinning_every_step_leaves_even_gaps() -> None:
    frontier: Frontier = ()
    for version in range(1, 5001):
        frontier = thin(append(frontier, Checkpoint(version, Position({"a": version}), START)))
    gaps = [later.version - earlier.version for earlier, later in itertools.pairwise(frontier)]
    assert len(frontier) == MAX_CHECKPOINTS
    assert max(gaps) <= 4 * (5000 // MAX_CHECKPOINTS)


def test_lag_is_unknown_without_a_position_and_zero_when_nothing_waits() -> None:
    now = START + timedelta(seconds=9)
    unknown = lag(None, None, waiting_since=None, as_of=now)
    assert (unknown.records, unknown.seconds) == (None, None)
    done = lag(Position.parse(5), Position.parse(7), waiting_since=None, as_of=now)
    assert (done.records, done.seconds) == (0, 0.0)
    behind = lag(Position.parse(5), None, waiting_since=START, as_of=now)
    assert (behind.records, behind.seconds) == (None, 9.0)
