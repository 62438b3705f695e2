"""Reports, for tests that need a connector in some state."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from app.domain.connector import Report, StreamPosition
from app.domain.errors import TidemarkError
from app.domain.names import Address
from app.domain.position import Position
from app.domain.token import TokenId
from app.services.check import Asked, Checked, check
from app.services.issue import Issuer, IssueRequest
from app.services.report import Addressed, Recorded, record
from app.store.engine import run, transact
from tests.serving import until

T = TypeVar("T")

KEEP_EVERY = timedelta(seconds=10)
RETENTION = timedelta(days=30)


def send(engine: sa.Engine, address: Address, report: Report, keep_every: timedelta = KEEP_EVERY) -> Any:
    """Records one report and answers its outcome."""
    (outcome,) = transact(engine, lambda c: record(c, [Addressed(address, report)], keep_every=keep_every))
    return outcome


def issue(engine: sa.Engine, address: Address, by: str = "test") -> TokenId:
    """Issues one token, or raises why not."""
    return only(run(engine, lambda c: Issuer().issue(c, [IssueRequest(address, by)])))


def check_token(engine: sa.Engine, address: Address, token: object, retention: timedelta = RETENTION) -> Checked:
    """Checks one token, or raises what stands against it."""
    asked = [Asked(address.tenant, address.pipeline, str(token))]
    return only(run(engine, lambda c: check(c, asked, retention=retention)))


def settle(engine: sa.Engine) -> None:
    """Waits until all that is committed may be told of as an event: nothing is open that was before it."""
    number = "SELECT CAST(CAST(pg_snapshot_{}(pg_current_snapshot()) AS text) AS bigint)"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        newest = connection.scalar(sa.text(number.format("xmax")))
        until(lambda: connection.scalar(sa.text(number.format("xmin"))) >= newest)


def only(outcomes: Sequence[T | TidemarkError]) -> T:
    """The only outcome, raised if it is an error."""
    (outcome,) = outcomes
    if isinstance(outcome, TidemarkError):
        raise outcome
    return outcome


def report(
    engine: sa.Engine,
    address: Address,
    if_match: int | None,
    *,
    received: Any,
    completed: Any,
    epoch: str | None = None,
    **fields: Any,
) -> int:
    """Records a report that must be accepted, and answers its version."""
    position = StreamPosition(
        epoch=epoch,
        received=Position.parse(received),
        completed=None if completed is None else Position.parse(completed),
    )
    outcome = send(engine, address, Report(if_match=if_match, position=position, **fields))
    assert isinstance(outcome, Recorded), outcome
    return outcome.version
