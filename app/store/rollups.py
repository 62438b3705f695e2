"""Rollups of observations by hour and by day: what is to be computed, and computing it, a whole bucket at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import ARRAY, Connection, FromClause, Uuid, any_, cast, delete, exists, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from app.store.engine import statement
from app.store.models import Connector, ConnectorDaily, ConnectorHourly, Rollup

SETTLED_AFTER = timedelta(minutes=2)
"""So long after its end an hour is final: a report's transaction that began in it has long ended."""


class Grain(Enum):
    """How long a bucket is; all of them are of UTC."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """Of each."""
        return timedelta(hours=1) if self is Grain.HOUR else timedelta(days=1)

    @property
    def table(self) -> type[ConnectorHourly | ConnectorDaily]:
        """Where its rows are."""
        return ConnectorHourly if self is Grain.HOUR else ConnectorDaily


@dataclass(frozen=True, slots=True)
class Bucket:
    """An hour or a day."""

    grain: Grain
    starts_at: datetime


def stale_hours(
    connection: Connection, since: datetime, *, again_since: datetime, fresh_for: timedelta
) -> Sequence[Bucket]:
    """The hours since then that are to be rolled up, newest first; the other two as the statement tells."""
    parameters = {
        "since": since,
        "again_since": again_since,
        "settled_after": SETTLED_AFTER,
        "fresh_for": fresh_for,
    }
    found = connection.scalars(statement("find_stale_hours"), parameters)
    return [Bucket(Grain.HOUR, starts_at) for starts_at in found]


def stale_days(connection: Connection, since: datetime) -> Sequence[Bucket]:
    """The days since then that are to be rolled up, oldest first, after all of their hours."""
    found = connection.scalars(statement("find_stale_days"), {"since": since, "settled_after": SETTLED_AFTER})
    return [Bucket(Grain.DAY, starts_at) for starts_at in found]


def roll_up(connection: Connection, bucket: Bucket, *, keep_every: timedelta) -> None:
    """Computes the bucket of every connector from what is recorded now, and notes that it has.

    All of it is there when the transaction ends, or nothing has changed. It writes only when all is computed and
    sorted, so that its transaction has no number until then: events wait for those that have (sql/read_events.sql).
    """
    table, step = bucket.grain.table, bucket.grain.length
    computed = select(_rolled_up(bucket.starts_at, bucket.starts_at + step, step, keep_every))
    names = [column.name for column in table.__table__.columns]
    writing = insert(table).from_select(names, computed.order_by("connector_id"))
    values = {name: writing.excluded[name] for name in names if name not in ("connector_id", "starts_at")}
    written = (
        writing.on_conflict_do_update(index_elements=["connector_id", "starts_at"], set_=values)
        .returning(
            table.observations,
            (table.tokens_issued - table.tokens_completed - table.tokens_lost).label("pending"),
        )
        .cte("written")
    )
    noting = insert(Rollup).from_select(
        ["grain", "starts_at", "observations", "tokens_pending", "computed_at"],
        select(
            literal(bucket.grain.value),
            literal(bucket.starts_at),
            func.coalesce(func.sum(written.c.observations), 0),
            func.coalesce(func.sum(written.c.pending), 0),
            func.now(),
        ),
    )
    counted = {name: noting.excluded[name] for name in ("observations", "tokens_pending", "computed_at")}
    connection.execute(noting.on_conflict_do_update(index_elements=["grain", "starts_at"], set_=counted))
    _forget_outdated(connection, bucket)


def _forget_outdated(connection: Connection, bucket: Bucket) -> None:
    """Deletes what was not computed again: since something came late, nothing is known of that connector any more.

    By the key, of which the connector comes first.
    """
    table = bucket.grain.table
    every = func.array(select(Connector.id).scalar_subquery())
    outdated = (table.connector_id == any_(every), table.starts_at == bucket.starts_at, table.computed_at < func.now())
    if connection.scalar(select(exists().where(*outdated))):
        connection.execute(delete(table).where(*outdated))


def _rolled_up(since: datetime, until: datetime, step: timedelta, keep_every: timedelta) -> FromClause:
    """The rows of all connectors, by the function of the database."""
    every: Any = cast(None, ARRAY(Uuid))
    columns = [column.name for column in ConnectorDaily.__table__.columns]
    return func.connector_rollup(since, until, step, keep_every, every).table_valued(*columns)
