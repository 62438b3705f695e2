"""What holds a token back, held against the rules by which it will complete; and the sentence that tells it."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import connector as rules
from app.domain import frontier
from app.domain.activity import Lifecycle, Progress
from app.domain.connector import Connector, Report, StreamPosition
from app.domain.errors import Gone, PipelineRestarted, UnknownEndpointInCompletionToken
from app.domain.explanation import LOST, Component, Known, Obstacle, explain, unfinished
from app.domain.frontier import Checkpoint
from app.domain.position import MAX_OFFSET, Position
from app.domain.rate import Sample
from app.domain.reason import about, reason
from app.domain.status import Recording
from app.domain.token import binding
from tests.domain.explaining import NOW, TOKEN, known

COMPONENTS = ("a", "b", "c")

offsets = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 4) | st.integers(0, MAX_OFFSET), max_size=6)


def obstacle(told: Known) -> Obstacle:
    found = explain(TOKEN, told).obstacle
    assert found is not None
    return found


@given(offsets, offsets | st.none())
def test_what_is_unfinished_is_every_component_that_is_not_reached(
    needed: dict[str, int], completed: dict[str, int] | None
) -> None:
    position = None if completed is None else Position(completed)
    left = unfinished(Position(needed), position)
    expected = {n for n, offset in needed.items() if not (position or Position({})).reaches(Position({n: offset}))}
    assert {component.name for component in left} == expected
    for component in left:
        assert component.needed == needed[component.name]
        assert component.reached == (completed or {}).get(component.name)
        if component.reached is None:
            assert component.missing is None
        else:
            assert component.missing == needed[component.name] - component.reached > 0


@given(offsets, offsets | st.none())
def test_the_worst_comes_first_and_what_nobody_knows_is_worst(
    needed: dict[str, int], completed: dict[str, int] | None
) -> None:
    left = unfinished(Position(needed), None if completed is None else Position(completed))
    unknown = [component.name for component in left if component.missing is None]
    missing = [component.missing for component in left if component.missing is not None]
    assert [component.name for component in left[: len(unknown)]] == sorted(unknown)
    assert missing == sorted(missing, reverse=True)


def test_the_missing_records_are_known_only_if_they_are_of_every_component() -> None:
    needed = (Checkpoint(3, Position({"a": 10, "b": 5, "c": 0}), NOW),)
    assert obstacle(known(frontier=needed, completed=Position({"a": 4, "b": 2}))).records == 9
    assert obstacle(known(frontier=needed, completed=Position({"a": 4}))).records is None
    assert obstacle(known(frontier=needed, completed=None)).records is None
    assert obstacle(known(frontier=(), completed=Position({"a": 4}))).records is None


# What is told, against what the rules make of the reports that may come next.

HISTORIES = 100


class World:
    """A connector that reports at random, and its tokens that are in progress."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.sampled = self.rng.random() < 0.7
        self.record = Connector()
        self.received = dict.fromkeys(COMPONENTS, 0)
        self.completed = dict.fromkeys(COMPONENTS, 0)
        self.bindings: set[int] = set()

    def __repr__(self) -> str:
        """As a failure shows it, to be played again."""
        return f"World({self.seed})"

    def step(self) -> None:
        for name in COMPONENTS:
            self.received[name] += self.rng.choice((0, 0, 1, 5))
            processed = self.completed[name] + self.rng.choice((0, 0, 1, 4))
            self.completed[name] = min(processed, self.received[name])
        if self.rng.random() < 0.05:
            self.completed[self.rng.choice(COMPONENTS)] = 0  # the consumer is rewound
        self.record = self.after(self.record, self.rng.choice((self.completed, self.completed, None)))
        if self.record.epoch:
            self.bindings.add(binding(self.record))
        self.bindings = {each for each in self.bindings if each > self.record.completed_version}

    def after(self, record: Connector, completed: dict[str, int] | None) -> Connector:
        """The record after a report that so much is completed; None: a report of status only."""
        recording = Recording.SAMPLED if self.sampled else Recording.SYNCHRONOUS
        position = None
        if completed is not None:
            done = {name: n for name, n in completed.items() if n > 0 or self.rng.random() < 0.5}
            position = StreamPosition(epoch=None, received=Position(dict(self.received)), completed=Position(done))
        report = Report(if_match=record.version, recording=recording, position=position)
        return rules.accept(record, report, now=NOW, closed_labels=(), keep_every=timedelta(0)).connector

    def told(self) -> Iterator[tuple[int, Obstacle]]:
        """The bindings of the tokens in progress, and what holds each back."""
        for each in self.bindings:
            here = self.record
            yield (
                each,
                obstacle(
                    known(
                        each,
                        completed_version=here.completed_version,
                        version=here.version,
                        position_version=here.position_version,
                        frontier=here.frontier,
                        completed=here.completed,
                    )
                ),
            )


def worlds() -> Iterator[World]:
    """Every history, after every step."""
    for seed in range(HISTORIES):
        world = World(seed)
        for _ in range(25):
            world.step()
            yield world


@pytest.fixture
def _short_frontier(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is thinned."""
    monkeypatch.setattr(frontier, "MAX_CHECKPOINTS", 3)


@pytest.mark.usefixtures("_short_frontier")
def test_a_bound_token_completes_with_what_it_misses_and_not_with_a_record_less() -> None:
    later = 0
    for world in worlds():
        for waits_for, told in world.told():
            if told.checkpoint is None:
                continue
            reached = world.record.completed.offsets if world.record.completed else {}
            needed = {**reached, **{each.name: each.needed for each in told.components}}
            done = world.after(world.record, needed)
            assert done.completed_version >= told.checkpoint.version >= waits_for
            later += told.checkpoint.version > waits_for
            assert told.components
            for each in told.components:
                less = needed | {each.name: each.needed - 1}
                assert world.after(world.record, less).completed_version < waits_for
    assert later > HISTORIES, "too few checkpoints were merged or thinned to prove anything"


@pytest.mark.usefixtures("_short_frontier")
def test_an_unbound_token_is_bound_by_as_many_reports_as_are_told_and_by_none_less() -> None:
    unbound = 0
    for world in worlds():
        for waits_for, told in world.told():
            record = world.record
            for _ in range(told.reports):
                assert record.completed_version < waits_for
                record = world.after(record, world.received)
            assert (record.completed_version >= waits_for) is (told.reports > 0)
            unbound += told.reports > 0
    assert unbound > HISTORIES


# What is known of how it goes on.


def test_an_estimate_counts_from_the_newest_report_at_the_rate_until_then() -> None:
    told = obstacle(known())
    assert (told.records, told.lag_seconds(NOW)) == (15, 5.0)
    assert told.checkpoint is not None
    assert told.checkpoint.version == 4
    assert told.rate is not None
    assert (told.rate.records, told.rate.per_second(told.rate.records)) == (20, 2.0)
    assert told.estimate is not None
    assert told.estimate.at == NOW + timedelta(seconds=6.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"earlier": None},
        {"completed": None},
        {"frontier": ()},
        {"version": 6},  # by a report of status only
        {"earlier": Sample(NOW - timedelta(seconds=11), Position({"a": 25}))},
        {"lifecycle": Lifecycle.FAILED},
        *({"progress": progress} for progress in Progress if progress is not Progress.MOVING),
    ],
)
def test_there_is_no_estimate_where_nothing_foretells_it(changes: dict[str, Any]) -> None:
    assert obstacle(known(**changes)).estimate is None


def test_no_lag_is_negative_and_that_of_what_is_not_bound_is_unknown() -> None:
    assert obstacle(known()).lag_seconds(NOW - timedelta(days=1)) == 0.0
    assert obstacle(known(frontier=())).lag_seconds(NOW) is None


def test_the_estimate_of_a_paused_connector_is_told_while_it_still_moves() -> None:
    assert obstacle(known(lifecycle=Lifecycle.PAUSED)).estimate is not None


# Complete and lost ones.


@pytest.mark.parametrize(
    ("after", "by", "expected"),
    [
        (-20, -10, (-20, -10)),
        (None, -10, (None, -10)),
        (-40, -10, (-30, -10)),
        (-50, -40, (-30, -30)),
        (None, -40, (None, -30)),
    ],
)
def test_a_token_completed_between_two_observations_and_never_before_it_was_issued(
    after: int | None, by: int, expected: tuple[int | None, int]
) -> None:
    def moment(seconds: int | None) -> datetime | None:
        return None if seconds is None else NOW + timedelta(seconds=seconds)

    told = explain(TOKEN, known(completed_version=3, last_incomplete=moment(after), first_complete=moment(by)))
    assert (told.status, told.bound, told.obstacle, told.lost) == ("complete", True, None, None)
    assert told.completion is not None
    assert (told.completion.after, told.completion.by) == tuple(moment(each) for each in expected)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"epoch_ended": True, "current_epoch_number": 2}, PipelineRestarted),
        ({"removed": True}, UnknownEndpointInCompletionToken),
        ({"removed": True, "completed_version": 3}, UnknownEndpointInCompletionToken),
    ],
)
def test_a_lost_token_is_explained_by_its_error(changes: dict[str, Any], error: type[Gone]) -> None:
    told = explain(TOKEN, known(**changes))
    assert (told.status, told.bound, told.obstacle, told.completion) == (LOST, None, None, None)
    assert isinstance(told.lost, error)
    assert reason(told) == told.lost.message


UNKNOWN = {"progress": Progress.UNKNOWN}
SILENT = UNKNOWN | {"not_reporting_since": NOW - timedelta(seconds=60)}
STANDS = {"progress": Progress.STALLED}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "15 records are still to be completed, which takes about 6 s."),
        ({"earlier": None}, "15 records are still to be completed."),
        ({"recorded_at": NOW - timedelta(seconds=9)}, "15 records are still to be completed."),
        ({"earlier": None, "completed": Position({"a": 39})}, "1 record is still to be completed."),
        ({"completed": None} | UNKNOWN, "Nobody knows how many records are still to be completed."),
        ({"frontier": (), "version": 1}, "2 further reports are needed to bind it to a position."),
        ({"frontier": (), "version": 2}, "One further report is needed to bind it to a position."),
        ({"frontier": (), "version": 9}, "One further report is needed to bind it to a position."),
        (STANDS, "Nothing was completed in the last 3 reports; 15 records are still to be completed."),
        ({"progress": Progress.REWOUND}, "The consumer was rewound; 15 records are still to be completed."),
        (
            STANDS | {"lifecycle": Lifecycle.PAUSED},
            "The connector is paused; 15 records are still to be completed.",
        ),
        (
            SILENT | {"lifecycle": Lifecycle.PAUSED},
            "The connector has not reported since 2025-12-31T23:59:00.000000Z; 15 records are still to be completed.",
        ),
        (SILENT | {"lifecycle": Lifecycle.FAILED}, "The connector has failed; 15 records are still to be completed."),
        (
            STANDS | {"pipeline_stopped": True},
            "The pipeline is recorded as stopped; 15 records are still to be completed.",
        ),
        (
            {"completed_version": 3},
            "Everything that the connector had received before the token was asked for is processed.",
        ),
    ],
)
def test_the_reason_tells_what_to_look_at_first_and_what_is_missing(changes: dict[str, Any], sentence: str) -> None:
    assert reason(explain(TOKEN, known(**changes))) == sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (1.4, "1 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (172800, "2 days")],
)
def test_a_length_of_time_is_told_in_its_greatest_unit(seconds: float, words: str) -> None:
    assert about(seconds) == words


def test_a_component_that_is_not_known_misses_nobody_knows_how_much() -> None:
    assert Component("a", 5, None).missing is None
    assert replace(Component("a", 5, None), reached=0).missing == 5
