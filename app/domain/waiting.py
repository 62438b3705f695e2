"""Waiting for tokens (design §2): what is waited for, what settles it, and when enough is settled."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from app.domain.token import TokenStatus


@dataclass(frozen=True, slots=True)
class Need:
    """What a token in progress waits for: that a version of its epoch is completed, or that the epoch ends."""

    connector_id: UUID
    epoch_number: int
    binding: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a connector has got; epoch number 0: it has none, for it was removed or has never had a position."""

    connector_id: UUID
    epoch_number: int
    completed_version: int

    def settles(self, need: Need) -> bool:
        """Whether a token with this need, of the same connector, can be in progress no longer."""
        return self.epoch_number != need.epoch_number or self.completed_version >= need.binding


def easiest(needs: Collection[Need | None]) -> Need | None:
    """A need that is settled as soon as one of these is, all of the same connector; None is settled by anything.

    Where all are of one epoch, it is settled by nothing else.
    """
    first, *others = needs
    if not others:  # nearly always
        return first
    known = [need for need in needs if need is not None]
    if len(known) < len(needs) or len({need.epoch_number for need in known}) > 1:
        return None
    return min(known, key=lambda need: need.binding)


class Until(Enum):
    """How many of several tokens are waited for."""

    ALL = "all"
    ANY = "any"


class Verdict(Enum):
    """The status of several tokens together."""

    COMPLETE = "complete"
    IN_PROGRESS = "inprogress"
    FAILED = "failed"  # it can never become complete


def verdict(statuses: Iterable[TokenStatus | None], until: Until) -> Verdict:
    """The status of one or more tokens together; None stands for one that can never become complete."""
    found = set(statuses)
    if until is Until.ANY:
        if TokenStatus.COMPLETE in found:
            return Verdict.COMPLETE
        return Verdict.IN_PROGRESS if TokenStatus.IN_PROGRESS in found else Verdict.FAILED
    if None in found:
        return Verdict.FAILED
    return Verdict.IN_PROGRESS if TokenStatus.IN_PROGRESS in found else Verdict.COMPLETE
