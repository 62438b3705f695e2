"""A stream's own part: what it says of tokens while the database comes and goes, and when it ends."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import pytest
import sqlalchemy as sa

from app.domain.errors import ServiceUnavailable, UnknownCompletionToken
from app.domain.event_order import BEGINNING, Cursor
from app.domain.subscription import Subscription
from app.domain.token import TokenId, TokenStatus
from app.domain.waiting import Standing
from app.services import follow
from app.services.check import Asked, Checked
from app.services.follow import Settled, Stream
from app.services.seats import Seats
from app.services.wait import Outcome
from app.services.waiters import Waiter, Waiters

TENANT, CONNECTOR = UUID(int=1), UUID(int=2)
TOKENS = [str(TokenId(CONNECTOR, UUID(int=(0x7 << 76) | (0x8 << 60) | number))) for number in range(3)]
IN_PROGRESS = Checked(TokenStatus.IN_PROGRESS, epoch_number=1, binding=5)
COMPLETE = Checked(TokenStatus.COMPLETE, epoch_number=1, binding=5)


class Woken(Waiters):
    """Waiters without a database."""

    def _start(self) -> None:
        pass


class Checks:
    """Answers of the database to come, in their order; the last one stays."""

    def __init__(self, *answers: dict[str, Outcome] | ServiceUnavailable) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def __call__(self, asked: Sequence[Asked]) -> list[Outcome]:
        self.asked.append([each.token for each in asked])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ServiceUnavailable):
            raise answer
        return [answer[each.token] for each in asked]


class Streaming:
    """A stream of tokens only."""

    def __init__(self, waiters: Woken, waiter: Waiter, checks: Checks, told: int = 0) -> None:
        subscription = Subscription(tenant=TENANT, tokens=tuple(TOKENS), transitions=False)
        cursor = Cursor(query=subscription.digest, made_at=0, place=BEGINNING, told=told)
        self.waiters, self.waiter, self.checks = waiters, waiter, checks
        self.is_allowed = True
        self.stream = Stream(
            subscription=subscription,
            cursor=cursor,
            is_reset=False,
            waiter=waiter,
            follower=None,
            check=checks,
            is_allowed=lambda: self.is_allowed,
        )
        self.told = iter(self.stream)
        assert next(self.told) == (None, cursor)


@contextmanager
def streaming(*answers: dict[str, Outcome] | ServiceUnavailable, told: int = 0) -> Iterator[Streaming]:
    waiters = Woken(sa.create_engine("postgresql+psycopg://"), "postgresql+psycopg://", Seats(most=9, most_of_one=9))
    with waiters.admit(None, lambda: False) as waiter:
        yield Streaming(waiters, waiter, Checks(*answers), told)


def all_are(outcome: Outcome) -> dict[str, Outcome]:
    return dict.fromkeys(TOKENS, outcome)


def test_each_token_is_told_of_when_it_settles_and_is_not_looked_at_again() -> None:
    unknown = UnknownCompletionToken()
    some: dict[str, Outcome] = {TOKENS[0]: IN_PROGRESS, TOKENS[1]: unknown, TOKENS[2]: IN_PROGRESS}
    with streaming(some, all_are(COMPLETE)) as stream:
        told, cursor = next(stream.told)
        assert (told, cursor.told) == (Settled(TOKENS[1], unknown), 0b010)
        stream.waiters.tell(Standing(CONNECTOR, 1, 5))
        rest = list(stream.told)
        assert [(told, cursor.told) for told, cursor in rest] == [
            (Settled(TOKENS[0], COMPLETE), 0b011),
            (Settled(TOKENS[2], COMPLETE), 0b111),
        ]
        assert stream.checks.asked == [TOKENS, [TOKENS[0], TOKENS[2]]]


def test_tokens_told_of_before_are_not_looked_at() -> None:
    with streaming(all_are(COMPLETE), told=0b101) as stream:
        assert [told for told, _ in stream.told] == [Settled(TOKENS[1], COMPLETE)]
        assert stream.checks.asked == [TOKENS[1:2]]


def test_a_database_that_is_away_costs_only_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream stays, and looks again by itself."""
    monkeypatch.setattr(follow, "_RETRY_SECONDS", 0.05)
    with streaming(ServiceUnavailable(), ServiceUnavailable(), all_are(COMPLETE)) as stream:
        assert [told for told, _ in stream.told] == [Settled(token, COMPLETE) for token in TOKENS]
        assert len(stream.checks.asked) == 3


def test_what_settles_while_it_is_looked_at_is_not_missed() -> None:
    """The look saw it in progress; the notification came before the stream had said what it needs."""

    def move(asked: Sequence[Asked]) -> list[Outcome]:
        if len(stream.checks.asked) == 0:
            stream.waiters.tell(Standing(CONNECTOR, 1, 5))
        return stream.checks(asked)

    with streaming(all_are(IN_PROGRESS), all_are(COMPLETE)) as stream:
        stream.stream.check = move
        assert len(list(stream.told)) == 3


def test_it_beats_while_nothing_happens_and_ends_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.01)
    with streaming(all_are(IN_PROGRESS)) as stream:
        assert [next(stream.told)[0] for _ in range(3)] == [None] * 3
        stream.is_allowed = False
        assert list(stream.told) == []
        assert len(stream.checks.asked) == 1, "a heartbeat is no reason to look"


def test_it_ends_with_the_process() -> None:
    with streaming(all_are(IN_PROGRESS)) as stream:
        stream.waiters.close()
        assert list(stream.told) == []
