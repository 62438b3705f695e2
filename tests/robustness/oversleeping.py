"""Defects planted in the code of those who wait. See ``defects.py``."""

from collections.abc import Callable, Iterable, Sequence
from itertools import count

import pytest

from app.domain.token import TokenId, TokenStatus
from app.domain.waiting import Need, Standing, Until
from app.services import wait
from app.services.check import Checked
from app.services.wait import Outcome, WaitRequest
from app.services.waiters import Waiter, Waiters

Patch = pytest.MonkeyPatch
Check = Callable[[Sequence[int]], Sequence[Outcome]]

_COMPLETE = Checked(TokenStatus.COMPLETE, 0, 0)


def woken_is_complete(patch: Patch) -> None:
    """Whoever is woken need not look, for he has been told; unless he is woken because the process ends."""
    honest = wait.wait

    def believing(
        waiters: Waiters, tokens: Sequence[TokenId | None], check: Check, request: WaitRequest
    ) -> list[Outcome]:
        looks = count()

        def look(places: Sequence[int]) -> Sequence[Outcome]:
            return [_COMPLETE for _ in places] if next(looks) and not waiters.closing else check(places)

        return honest(waiters, tokens, look, request)

    patch.setattr(wait, "wait", believing)


def woken_is_answered(patch: Patch) -> None:
    """Whoever is woken looks once more, and is answered what he sees."""
    honest = Waiter.sleep

    def sleep(waiter: Waiter, seconds: float) -> None:
        honest(waiter, seconds)
        waiter.ended = True

    patch.setattr(Waiter, "sleep", sleep)


def any_movement_settles(patch: Patch) -> None:
    """The binding is not looked at."""
    patch.setattr(Standing, "settles", lambda standing, need: True)


def epochs_do_not_end(patch: Patch) -> None:
    """The epoch is not looked at."""
    patch.setattr(Standing, "settles", lambda standing, need: standing.completed_version >= need.binding)


def lost_is_one_of_many(patch: Patch) -> None:
    """A token lost counts as one of those that are waited for."""
    honest = Waiter.settle

    def settle(waiter: Waiter, need: Need, *, lost: bool) -> None:
        if not lost:
            return honest(waiter, need, lost=False)
        waiter._left -= 1
        return waiter.wake() if waiter._left <= 0 else None

    patch.setattr(Waiter, "settle", settle)


def any_is_all(patch: Patch) -> None:
    """Whoever waits for any of several is woken by one, and goes on waiting for the others."""
    honest = wait.together
    patch.setattr(wait, "together", lambda outcomes, until: honest(outcomes, Until.ALL))


def forgets_what_it_heard(patch: Patch) -> None:
    """Who has looked only listens from then on."""
    honest = Waiter.need

    def need(waiter: Waiter, needs: Iterable[Need], *, enough: int) -> None:
        waiter._heard = []
        honest(waiter, needs, enough=enough)

    patch.setattr(Waiter, "need", need)


def nobody_looks_again(patch: Patch) -> None:
    """Notifications will do."""
    patch.setattr(Waiters, "_look", lambda waiters: None)
