"""The token protocol on random histories with ground truth, and its mutants, each of which must be caught."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from app.domain import connector, frontier, token
from app.domain.connector import Connector, Report, StreamPosition
from app.domain.frontier import Checkpoint, Frontier
from app.domain.position import Position
from app.domain.status import Recording
from app.domain.token import TokenRecord, TokenStatus
from tests.domain.history import Early, Lost, Stuck, Undone, play

HISTORIES = 4000
FAULTS = (Early, Undone, Lost, Stuck)


@pytest.fixture(autouse=True)
def _short_frontier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short enough that a history of sixty steps thins it."""
    monkeypatch.setattr(frontier, "MAX_CHECKPOINTS", 3)


def test_no_token_is_early_undone_lost_or_stuck() -> None:
    issued = 0
    for seed in range(HISTORIES):
        try:
            issued += play(seed)
        except FAULTS as fault:
            pytest.fail(f"play({seed}): {fault!r}")
    assert issued > 10 * HISTORIES / 4, "the histories issue too few tokens to prove anything"


Patch = Callable[[pytest.MonkeyPatch], None]


def _binding(ahead: int) -> Patch:
    return lambda patch: patch.setattr(token, "SAMPLED_AHEAD", ahead)


def _synchronous_waits_for_the_newest_version(patch: pytest.MonkeyPatch) -> None:
    honest = token.binding
    patch.setattr(token, "binding", lambda c: c.version if c.recording is Recording.SYNCHRONOUS else honest(c))


def _reaches(rule: Callable[[Position, Position], bool]) -> Patch:
    return lambda patch: patch.setattr(Position, "reaches", rule)


def _missing_is_reached(mine: Position, other: Position) -> bool:
    return all(mine.offsets.get(name, offset) >= offset for name, offset in other.offsets.items())


def _any_component_will_do(mine: Position, other: Position) -> bool:
    return any(mine.offsets.get(name, -1) >= offset for name, offset in other.offsets.items())


def _strictly_beyond(mine: Position, other: Position) -> bool:
    return all(mine.offsets.get(name, -1) > offset for name, offset in other.offsets.items() if offset > 0)


def _unknown_completed_is_complete(patch: pytest.MonkeyPatch) -> None:
    def advance(checkpoints: Frontier, completed: Position | None) -> tuple[Frontier, int | None]:
        if completed is None:
            return (), checkpoints[-1].version
        return frontier.advance(checkpoints, completed)

    patch.setattr(connector, "advance", advance)


def _newest_version_when_anything_drops(patch: pytest.MonkeyPatch) -> None:
    def advance(checkpoints: Frontier, completed: Position | None) -> tuple[Frontier, int | None]:
        left, dropped = frontier.advance(checkpoints, completed)
        return left, checkpoints[-1].version if dropped else None

    patch.setattr(connector, "advance", advance)


def _version_moves_though_more_came_in(patch: pytest.MonkeyPatch) -> None:
    def append(checkpoints: Frontier, new: Checkpoint) -> Frontier:
        if not checkpoints:
            return (new,)
        return (*checkpoints[:-1], Checkpoint(new.version, checkpoints[-1].received, new.at))

    patch.setattr(connector, "append", append)


def _thinning(rule: Callable[[Frontier], Frontier]) -> Patch:
    return lambda patch: patch.setattr(connector, "thin", rule)


def _thin_keeps_the_older_position(checkpoints: Frontier) -> Frontier:
    if len(checkpoints) < 3:
        return checkpoints
    merged = Checkpoint(checkpoints[2].version, checkpoints[1].received, checkpoints[1].at)
    return (checkpoints[0], merged, *checkpoints[3:])


def _epoch_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(connector, "_epoch_opened", _never_but_first)


def _never_but_first(before: Connector, position: StreamPosition | None, closed: Collection[str | None]) -> Any:
    if position is None or before.epoch is not None:
        return None
    return connector.Epoch(number=before.last_epoch + 1, label=position.epoch)


def _tokens_of_old_epochs_go_on(patch: pytest.MonkeyPatch) -> None:
    honest = token.evaluate
    patch.setattr(token, "evaluate", lambda record: honest(replace(record, epoch_ended=False)))


def _old_tokens_meet_the_new_completed_version(patch: pytest.MonkeyPatch) -> None:
    honest = connector.accept

    def accept(before: Connector, report: Report, **kwargs: Any) -> Any:
        accepted = honest(before, report, **kwargs)
        if accepted.closed is None:
            return accepted
        newest = replace(accepted.closed, completed_version=accepted.connector.version + 2)
        return replace(accepted, closed=newest)

    patch.setattr(connector, "accept", accept)


def _zombies_are_accepted(patch: pytest.MonkeyPatch) -> None:
    honest = connector._epoch_opened

    def epoch_opened(before: Connector, position: StreamPosition | None, closed: Collection[str | None]) -> Any:
        zombie = position is not None and position.epoch in closed
        return None if zombie else honest(before, position, ())

    patch.setattr(connector, "_epoch_opened", epoch_opened)


def _received_may_go_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Position, "regression_from", lambda self, earlier: None)


def _no_latch_on_rewind(patch: pytest.MonkeyPatch) -> None:
    honest = connector._take_position
    recorded: list[tuple[int, Position]] = []  # of the present epoch

    def take_position(before: Connector, position: StreamPosition, now: datetime) -> Connector:
        after = honest(before, position, now)
        if before.received is None:
            recorded.clear()
        recorded.append((after.version, position.received))
        completed = position.completed or Position({})
        reached = [version for version, received in recorded if completed.reaches(received)]
        return replace(after, completed_version=max(reached, default=0))

    patch.setattr(connector, "_take_position", take_position)


def _stale_reports_are_accepted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(connector, "check_precondition", lambda before, report: None)


def _no_version_needed(patch: pytest.MonkeyPatch) -> None:
    honest = connector.check_precondition

    def check(before: Connector, report: Report) -> None:
        if report.if_match is not None:
            honest(before, report)

    patch.setattr(connector, "check_precondition", check)


def _status_only_counts_as_position(patch: pytest.MonkeyPatch) -> None:
    honest = connector.accept

    def accept(before: Connector, report: Report, **kwargs: Any) -> Any:
        if report.position is None and before.received is not None and before.epoch is not None:
            again = StreamPosition(epoch=before.epoch.label, received=before.received, completed=before.completed)
            report = replace(report, position=again)
        return honest(before, report, **kwargs)

    patch.setattr(connector, "accept", accept)


def _new_epoch_starts_completed(patch: pytest.MonkeyPatch) -> None:
    honest = connector._enter_epoch

    def enter_epoch(before: Connector, opened: connector.Epoch | None) -> Connector:
        after = honest(before, opened)
        return after if opened is None else replace(after, completed_version=before.version + 3)

    patch.setattr(connector, "_enter_epoch", enter_epoch)


def _new_epoch_keeps_the_frontier(patch: pytest.MonkeyPatch) -> None:
    honest = connector._enter_epoch

    def enter_epoch(before: Connector, opened: connector.Epoch | None) -> Connector:
        return replace(honest(before, opened), frontier=before.frontier)

    patch.setattr(connector, "_enter_epoch", enter_epoch)


def _removal_leaves_the_epoch_open(patch: pytest.MonkeyPatch) -> None:
    honest = connector.remove

    def remove(before: Connector) -> Any:
        return replace(honest(before), closed=None)

    patch.setattr(connector, "remove", remove)


def _equal_is_not_enough(record: TokenRecord) -> TokenStatus:
    return token_evaluate(replace(record, binding=record.binding + 1))


token_evaluate = token.evaluate

MUTANTS: dict[str, tuple[Patch, tuple[type[AssertionError], ...]]] = {
    "binding k": (_binding(0), (Early,)),
    "binding k+1": (_binding(1), (Early,)),
    "binding k+3": (_binding(3), (Stuck,)),
    "synchronous waits for the newest version": (_synchronous_waits_for_the_newest_version, (Stuck,)),
    "> for >= between positions": (_reaches(_strictly_beyond), (Stuck,)),
    "> for >= between versions": (lambda p: p.setattr(token, "evaluate", _equal_is_not_enough), (Stuck,)),
    "any component for all": (_reaches(_any_component_will_do), (Early,)),
    "a missing component is reached": (_reaches(_missing_is_reached), (Early,)),
    "unknown completed is complete": (_unknown_completed_is_complete, (Early,)),
    "newest version when anything drops": (_newest_version_when_anything_drops, (Early,)),
    "version moves though more came in": (_version_moves_though_more_came_in, (Early,)),
    "thinning keeps the older position": (_thinning(_thin_keeps_the_older_position), (Early,)),
    "epoch ignored": (_epoch_is_ignored, (Early,)),
    "tokens of old epochs go on": (_tokens_of_old_epochs_go_on, (Lost,)),
    "old tokens meet the new completed_version": (_old_tokens_meet_the_new_completed_version, (Early,)),
    "zombies are accepted": (_zombies_are_accepted, (Early, Stuck)),
    "received may go back": (_received_may_go_back, FAULTS),
    "no latch on rewind": (_no_latch_on_rewind, (Undone,)),
    "stale reports are accepted": (_stale_reports_are_accepted, (Early,)),
    "no version needed": (_no_version_needed, (Early,)),
    "status-only counts as position": (_status_only_counts_as_position, (Early,)),
    "new epoch starts completed": (_new_epoch_starts_completed, (Early,)),
    "new epoch keeps the frontier": (_new_epoch_keeps_the_frontier, FAULTS),
    "removal leaves the epoch open": (_removal_leaves_the_epoch_open, FAULTS),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, faults = MUTANTS[mutant]
    plant(monkeypatch)
    for seed in range(HISTORIES):
        try:
            play(seed)
        except faults as fault:
            print(f"caught by play({seed}): {fault!r}")
            return
    pytest.fail(f"not caught in {HISTORIES} histories")
