"""Partitions, made ahead of time (design §3): of completion tokens by the time in their id, of observations by day.

An insert never fails for want of one: a row of a day without a partition goes to the default partition, from which
the next run of `ensure_partitions` moves it, if that is made on the same day.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app import metrics

log = logging.getLogger(__name__)

DAYS_AHEAD = 14
_EVERY_SECONDS = 6 * 3600.0
_LOCK_TIMEOUT = "2s"
_PATIENCE = {"connect_timeout": 5, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_TURN = 0x7469_6465_7061_7274  # "tidepart": whoever has this lock makes partitions; the others need not


@dataclass(frozen=True, slots=True)
class _Partitioned:
    table: str
    key: str
    bound: Callable[[date], str]  # the least key of a day, as a literal


def _token_id(day: date) -> str:
    """The least UUIDv7 of a day (RFC 9562 §5.7: 48 bits of milliseconds come first)."""
    return str(UUID(int=int(_midnight(day).timestamp() * 1000) << 80))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_TABLES = (
    _Partitioned("completion_token", "id", _token_id),
    _Partitioned("observation", "recorded_at", lambda day: _midnight(day).isoformat()),
)


def keep_partitions(url: str) -> None:
    """Makes partitions now and every few hours, for ever. A run that fails is left to the next one."""
    while True:
        try:
            ensure_partitions(url)
            metrics.succeeded("partitions")
        except SQLAlchemyError as error:
            log.warning("partitions were not made: %s", type(error).__name__)
        time.sleep(_EVERY_SECONDS)


def ensure_partitions(url: str, *, days_ahead: int = DAYS_AHEAD) -> None:
    """Makes the partitions of today and of the days ahead, one short transaction each; safe under load.

    Works on a connection of its own. Does nothing where somebody else is at it, and leaves for the next run a
    partition whose lock is not to be had within two seconds.
    """
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=_PATIENCE)
    with engine.connect() as connection:
        with connection.begin():
            # The lock is the session's: it ends with the connection, however that ends.
            if not connection.scalar(text("SELECT pg_try_advisory_lock(:turn)"), {"turn": _TURN}):
                return
            today = connection.scalars(text("SELECT (now() AT TIME ZONE 'UTC')::date")).one()
        for table in _TABLES:
            for ahead in range(days_ahead + 1):
                _ensure(connection, table, today + timedelta(days=ahead), ahead)


def _ensure(connection: Connection, table: _Partitioned, day: date, ahead: int) -> None:
    try:
        with connection.begin():
            name = f"{table.table}_{day:%Y%m%d}"
            if not connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}):
                _make(connection, table, name, day, ahead)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
            raise


def _make(connection: Connection, table: _Partitioned, name: str, day: date, ahead: int) -> None:
    """Built beside the table and then attached, which locks out nobody who uses the table's other partitions.

    But rows of today are in use, and may be in the default partition, from which they move along: whoever had planned
    to look there would not find them, so then nobody may be using the table at all.
    """
    low, high = table.bound(day), table.bound(day + timedelta(days=1))
    default, of_day = f"{table.table}_default", f"{table.key} >= '{low}' AND {table.key} < '{high}'"
    in_use = ahead == 0 or connection.scalar(text(f"SELECT EXISTS (SELECT FROM {default} WHERE {of_day})"))  # noqa: S608
    for sql in (
        f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'",
        f"LOCK TABLE {table.table if in_use else default} IN ACCESS EXCLUSIVE MODE",
        f"CREATE TABLE {name} (LIKE {table.table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"WITH moved AS (DELETE FROM {default} WHERE {of_day} RETURNING *) INSERT INTO {name} SELECT * FROM moved",  # noqa: S608
        f"ALTER TABLE {table.table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')",
    ):
        connection.execute(text(sql))
