"""The checker of crash histories: what is sound passes, every broken promise is found, and the cost is bearable."""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.robustness.crash.checker import check
from tests.robustness.crash.defective_record import (
    AcceptsAnyVersion,
    AppliesTwice,
    BindsToTheNextVersion,
    BindsToTheVersionItSaw,
    CountsAnew,
    DoesNotLatch,
    ForgetsTheLast,
    ForgetsTokens,
    LosesWhatHadCompleted,
    ReadsTheReplica,
)
from tests.robustness.crash.examples import history
from tests.robustness.crash.history import Call, History, Kill, Kind
from tests.robustness.crash.record import Record
from tests.robustness.crash.simulation import Shape, Simulation
from tests.robustness.crash.token_examples import TOKEN_EXAMPLES
from tests.robustness.crash.version_examples import VERSION_EXAMPLES
from tests.robustness.crash.violation import Fault
from tests.robustness.crash.wait_examples import WAIT_EXAMPLES

EXAMPLES = TOKEN_EXAMPLES | VERSION_EXAMPLES | WAIT_EXAMPLES
SCALAR = Shape()
VECTOR = Shape(components=("0", "1", "2"))
SYNCHRONOUS = Shape(synchronous=True)
RESTARTING = Shape(restarts=0.05)
REMOVED = Shape(removals=0.05)
EVERYTHING = Shape(components=("0", "1"), restarts=0.05, removals=0.05)
SHAPES = (SCALAR, VECTOR, SYNCHRONOUS, RESTARTING, REMOVED, EVERYTHING)
LONG = 3000  # about 500 calls
SEEDS = 60


@given(st.randoms(use_true_random=True), st.sampled_from(SHAPES), st.integers(1, LONG))
def test_a_correct_server_breaks_nothing(chance: random.Random, shape: Shape, until: int) -> None:
    assert check(Simulation(chance, shape).play(until)) == []


def test_the_simulated_histories_have_all_that_can_happen() -> None:
    told: Counter[tuple[str, int | None, str | None]] = Counter()
    waited = 0
    for shape in SHAPES:
        for call in Simulation(random.Random(0), shape).play(5 * LONG).calls:
            told[call.kind, call.status, call.code] += 1
            waited += call.wait is not None and bool(call.complete)
    assert waited > 100
    assert told[Kind.CHECK, 200, None] > 100
    assert told[Kind.CHECK, 202, None] > 100
    assert told[Kind.CHECK, 410, "PipelineRestarted"] > 100
    assert told[Kind.CHECK, 410, "UnknownEndpointInCompletionToken"] > 10
    assert told[Kind.REPORT, 412, "PreconditionFailed"] > 100
    assert told[Kind.REMOVE, 204, None] > 10
    for kind in (Kind.REPORT, Kind.ISSUE, Kind.CHECK):
        assert min(told[kind, None, None], told[kind, 503, None]) > 10


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_found_and_its_sound_neighbour_is_not(name: str) -> None:
    example = EXAMPLES[name]
    assert {violation.fault for violation in check(history(example.broken))} == {example.fault}
    assert check(history(example.sound)) == []


def test_there_is_an_example_of_each_fault() -> None:
    assert {example.fault for example in EXAMPLES.values()} == set(Fault)


DEFECTS: dict[type[Record], tuple[Shape, set[Fault]]] = {
    BindsToTheVersionItSaw: (SCALAR, {Fault.EARLY}),
    BindsToTheNextVersion: (SCALAR, {Fault.EARLY}),
    ForgetsTokens: (SCALAR, {Fault.LOST}),
    ForgetsTheLast: (SCALAR, {Fault.LOST, Fault.STALE, Fault.REUSED}),
    ReadsTheReplica: (SCALAR, {Fault.STALE, Fault.UNDONE}),
    DoesNotLatch: (VECTOR, {Fault.STALE, Fault.UNDONE}),
    LosesWhatHadCompleted: (RESTARTING, {Fault.STALE, Fault.UNDONE}),
    CountsAnew: (REMOVED, {Fault.REUSED}),
    AcceptsAnyVersion: (SCALAR, {Fault.REUSED}),
    AppliesTwice: (SYNCHRONOUS, {Fault.PHANTOM}),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defective_server_is_found(defect: type[Record]) -> None:
    shape, faults = DEFECTS[defect]
    found: set[Fault] = set()
    for seed in range(SEEDS):
        played = Simulation(random.Random(seed), shape, record=defect(), crash_every=LONG // 10).play(LONG)
        found |= {violation.fault for violation in check(played)}
        if found >= faults:
            return
    pytest.fail(f"found {sorted(found)} in {SEEDS} histories, and not {sorted(faults - found)}")


@given(st.randoms(use_true_random=True), st.sampled_from(SHAPES))
def test_a_planted_answer_is_found(chance: random.Random, shape: Shape) -> None:
    """In a sound history one answer is replaced by one that it cannot be."""
    played = Simulation(chance, shape).play(LONG)
    for fault, change in (("lost", unknown), ("reused", same_version), ("stale", first_version), ("undone", denied)):
        places = [place for place, call in enumerate(played.calls) if change(call, played) is not None]
        if places:
            place = chance.choice(places)
            changed = change(played.calls[place], played)
            assert changed is not None
            planted = History([*played.calls[:place], changed, *played.calls[place + 1 :]], played.progress)
            assert Fault(fault) in {violation.fault for violation in check(planted)}, changed


def unknown(call: Call, _: History) -> Call | None:
    if call.kind is not Kind.CHECK or not call.known:
        return None
    return replace(call, status=404, code="UnknownCompletionToken", complete=None)


def same_version(call: Call, played: History) -> Call | None:
    """The version of an acknowledged report that is not itself."""
    if call.kind is not Kind.REPORT or not call.acknowledged:
        return None
    others = (other for other in played.calls if other.kind is Kind.REPORT and other.acknowledged)
    taken = next((other.version for other in others if other.version != call.version), None)
    return None if taken is None else replace(call, version=taken)


def first_version(call: Call, played: History) -> Call | None:
    """The first version, long after the second was acknowledged."""
    if call.kind is not Kind.READ or not call.acknowledged:
        return None
    newer = any(other.latest < call.begin for other in played.calls if other.version == 2)
    return replace(call, version=1) if newer else None


def denied(call: Call, played: History) -> Call | None:
    if call.kind is not Kind.CHECK or not call.known:
        return None
    before = (other for other in played.calls if other.token == call.token and other.complete)
    if not any(other.latest < call.begin for other in before):
        return None
    return replace(call, status=202, code=None, complete=False)


def test_a_history_outlives_its_file(tmp_path: Path) -> None:
    played = Simulation(random.Random(1), EVERYTHING).play(LONG)
    played.kills.append(Kill(begin=1, end=2, kind="master"))
    played.dump(tmp_path / "history.jsonl")
    with (tmp_path / "history.jsonl").open() as lines:
        loaded = History.load(lines)
    assert sorted(loaded.calls, key=repr) == sorted(played.calls, key=repr)
    assert sorted(loaded.progress, key=repr) == sorted(played.progress, key=repr)
    assert loaded.kills == played.kills


class Counted(int):
    """A moment that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: float) -> bool:
        Counted.comparisons += 1
        return int.__lt__(self, other) if isinstance(other, int) else float(self) < other

    def __neg__(self) -> "Counted":
        return Counted(int.__neg__(self))


@contextmanager
def lines_counted() -> Iterator[Counter[str]]:
    """Counts the lines that are run meanwhile."""
    counted: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        counted[event] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield counted
    finally:
        sys.settrace(before)


def cost(calls: int) -> int:
    """What it takes to check that many calls on one connector: lines run and moments compared."""
    played = Simulation(random.Random(7), RESTARTING).play(7 * calls)
    assert len(played.calls) >= calls
    counted = [replace(call, begin=Counted(call.begin), end=call.end and Counted(call.end)) for call in played.calls]
    Counted.comparisons = 0
    with lines_counted() as lines:
        assert check(History(counted[:calls], played.progress)) == []
    assert Counted.comparisons > calls
    return lines.total() + Counted.comparisons


def test_eight_times_the_calls_cost_hardly_more_than_eight_times_as_much() -> None:
    assert cost(16_000) < 8 * 1.5 * cost(2_000)


def test_a_long_history_is_checked_within_the_time_out() -> None:
    played = Simulation(random.Random(7), EVERYTHING).play(1_300_000)
    assert len(played.calls) > 200_000
    assert check(played) == []
