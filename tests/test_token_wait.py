"""Waiting on the command line while the database does not answer."""

from collections.abc import Iterator
from uuid import UUID

import pytest
import sqlalchemy as sa

from app.domain.errors import ServiceUnavailable, UnknownCompletionToken
from app.domain.explanation import Explanation
from app.domain.token import TokenId
from app.domain.waiting import Until, Verdict
from app.services.seats import Seats
from app.services.waiters import Waiters
from app.token_wait import wait_for_tokens

TOKEN = TokenId(UUID(int=1), UUID(int=2))


@pytest.fixture
def waiters(database_url: str, engine: sa.Engine) -> Iterator[Waiters]:
    waiters = Waiters(engine, database_url, Seats(most=1, most_of_one=1))
    yield waiters
    waiters.close()


def test_a_database_that_is_away_for_longer_than_a_line_stands_ends_nothing(
    waiters: Waiters, capsys: pytest.CaptureFixture[str]
) -> None:
    away = iter([True] * 4)

    def explain(token: TokenId) -> Explanation:
        raise ServiceUnavailable if next(away, False) else UnknownCompletionToken

    verdict = wait_for_tokens(waiters, [TOKEN], explain, until=Until.ALL, seconds=None)
    shown = capsys.readouterr()
    assert (verdict, shown.out) == (
        Verdict.FAILED,
        f"{TOKEN}  lost (UnknownCompletionToken): Unknown completion token.\n",
    )
    assert "The database did not answer in time" in shown.err


def test_when_the_time_is_over_then_nobody_knows(waiters: Waiters, capsys: pytest.CaptureFixture[str]) -> None:
    def explain(token: TokenId) -> Explanation:
        raise ServiceUnavailable

    verdict = wait_for_tokens(waiters, [TOKEN], explain, until=Until.ALL, seconds=0.1)
    shown = capsys.readouterr()
    assert (verdict, shown.out) == (Verdict.IN_PROGRESS, "")
    assert "The database did not answer in time" in shown.err
