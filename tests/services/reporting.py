"""Reports, for tests that need a connector in some state."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app.domain.connector import Report, StreamPosition
from app.domain.names import Address
from app.domain.position import Position
from app.services.report import Addressed, Recorded, record
from app.store.engine import transact

KEEP_EVERY = timedelta(seconds=10)


def send(engine: sa.Engine, address: Address, report: Report, keep_every: timedelta = KEEP_EVERY) -> Any:
    """Records one report and answers its outcome."""
    (outcome,) = transact(
        engine,
        lambda c: record(c, address.tenant, address.pipeline, [Addressed(address, report)], keep_every=keep_every),
    )
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
