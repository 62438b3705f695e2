"""The frontier: the checkpoints of a connector that are not completed yet (design §2, Advancing)."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.position import Position

MAX_CHECKPOINTS = 128
MAX_FRONTIER_COMPONENTS = 4096


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What had been received when the report of ``version`` was made."""

    version: int
    received: Position
    at: datetime  # when this received position was first recorded


Frontier = tuple[Checkpoint, ...]
"""Oldest first. Received positions grow within an epoch, so each checkpoint's position reaches the one before it."""


def append(frontier: Frontier, checkpoint: Checkpoint) -> Frontier:
    """The frontier with a newer checkpoint at its end.

    Nothing new received moves the newest checkpoint's version up instead: the newer version waits for the same
    input, and the older time is kept, because that is how long the input has been waiting.
    """
    if frontier and frontier[-1].received == checkpoint.received:
        moved = Checkpoint(checkpoint.version, checkpoint.received, frontier[-1].at)
        return (*frontier[:-1], moved)
    return (*frontier, checkpoint)


def advance(frontier: Frontier, completed: Position | None) -> tuple[Frontier, int | None]:
    """Drops from the front the checkpoints that ``completed`` has reached.

    Answers what is left and the newest dropped version, None when nothing was dropped. An unknown ``completed``
    (None) reaches nothing: unknown is never complete.
    """
    if completed is None:
        return frontier, None
    reached = 0
    while reached < len(frontier) and completed.reaches(frontier[reached].received):
        reached += 1
    return frontier[reached:], frontier[reached - 1].version if reached else None


def thin(frontier: Frontier) -> Frontier:
    """The frontier within its bounds, by dropping from the middle.

    Dropping a whole checkpoint is safe: a token bound to it completes with the next newer one, later but never
    early. The oldest stays, so that progress shows and the lag is true; the newest stays, because without one nothing
    would seem to wait. Of the others, the one that leaves the smallest gap in versions goes first.
    """
    while len(frontier) > 2 and not _within_bounds(frontier):
        least = min(range(1, len(frontier) - 1), key=lambda i: frontier[i + 1].version - frontier[i - 1].version)
        frontier = frontier[:least] + frontier[least + 1 :]
    return frontier


def _within_bounds(frontier: Frontier) -> bool:
    components = sum(len(checkpoint.received.offsets) for checkpoint in frontier)
    return len(frontier) <= MAX_CHECKPOINTS and components <= MAX_FRONTIER_COMPONENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a connector was behind when it was last recorded; None is unknown, and never zero."""

    records: int | None
    seconds: float | None


def lag_records(received: Position | None, completed: Position | None) -> int | None:
    """How many records are received and not completed; None where it is not known."""
    return None if received is None or completed is None else completed.records_until(received)


def lag(
    received: Position | None, completed: Position | None, *, waiting_since: datetime | None, as_of: datetime
) -> Lag:
    """The lag between two positions, whose oldest checkpoint has waited since then (None: nothing waits)."""
    if received is None:
        return Lag(records=None, seconds=None)
    seconds = 0.0 if waiting_since is None else max(0.0, (as_of - waiting_since).total_seconds())
    return Lag(records=lag_records(received, completed), seconds=seconds)
