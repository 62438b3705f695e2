"""Waiting for completion tokens (design §2): subscribe, check, sleep, check again."""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from app.domain.errors import ServiceUnavailable, TidemarkError
from app.domain.token import TokenId, TokenStatus
from app.domain.waiting import Need, Until, Verdict, verdict
from app.services.check import Checked
from app.services.waiters import Waiters

MOST_SECONDS = 60.0
_LATE_SECONDS = 0.5

Outcome = Checked | TidemarkError


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRequest:
    """How long somebody is willing to wait, and who it is."""

    seconds: float
    until: Until = Until.ALL
    holder: Hashable | None  # the credential that the wait counts against
    hung_up: Callable[[], bool]  # whether the client has gone


def outcome_of(look: Callable[[], Checked]) -> Outcome:
    """What the look finds, or raises against the token. ServiceUnavailable says nothing of that, and passes through."""
    try:
        return look()
    except ServiceUnavailable:
        raise
    except TidemarkError as error:
        return error


def together(outcomes: Sequence[Outcome], until: Until) -> Verdict:
    """The status of several tokens together."""
    return verdict((each.status if isinstance(each, Checked) else None for each in outcomes), until)


def wait(
    waiters: Waiters,
    tokens: Sequence[TokenId | None],
    check: Callable[[Sequence[int]], Sequence[Outcome]],
    request: WaitRequest,
) -> list[Outcome]:
    """What is to be said of each token, as soon as it is settled for all of them or for any, or when the time is over.

    ``check`` looks at those in the places it is given; None stands for what is no token, of which it says so. While the
    database does not answer there is hope until the end; then this raises ServiceUnavailable. Raises TooManyRequests.
    """
    ends = time.monotonic() + request.seconds
    outcomes: dict[int, Outcome] = {}
    with waiters.admit(request.holder, request.hung_up) as waiter:
        if waiter.ended:  # the process stops; whoever asks again at once is to find another one
            time.sleep(min(_LATE_SECONDS, request.seconds))
        while True:
            pending = [place for place in range(len(tokens)) if _unsettled(outcomes.get(place))]
            waiter.listen(token.connector_id for place in pending if (token := tokens[place]))
            last = waiter.ended or time.monotonic() >= ends
            try:
                outcomes.update(zip(pending, check(pending), strict=True))
            except ServiceUnavailable:
                if last:
                    raise
            else:
                found = [outcomes[place] for place in range(len(tokens))]
                if last or together(found, request.until) is not Verdict.IN_PROGRESS:
                    return found
                needs = {need for token, each in zip(tokens, found, strict=True) if (need := need_of(token, each))}
                waiter.need(needs, enough=len(needs) if request.until is Until.ALL else 1)
            waiter.sleep(ends - time.monotonic())


def _unsettled(outcome: Outcome | None) -> bool:
    return outcome is None or (isinstance(outcome, Checked) and outcome.status is TokenStatus.IN_PROGRESS)


def need_of(token: TokenId | None, outcome: Outcome) -> Need | None:
    """What a token in progress waits for; None for a settled one."""
    if token is None or not isinstance(outcome, Checked) or outcome.status is not TokenStatus.IN_PROGRESS:
        return None
    return Need(token.connector_id, outcome.epoch_number, outcome.binding)
