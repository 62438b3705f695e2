"""What is past its retention goes by the partition, and nobody who reads or writes the others waits for it."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app.store.partitions import OWNS, Partitioned, Period

_log = logging.getLogger(__name__)

_LOCK_TIMEOUT = "20ms"  # so long, at most, does a writer stand behind a detachment that cannot have its lock
_TRIES = 500
_PAUSE_SECONDS = (0.01, 0.05)
_LOCKED = "55P03"

# Also those that were detached, but not dropped any more.
_MADE = text("""
    SELECT c.relname AS name, c.relispartition AS attached
      FROM pg_class AS c
      JOIN pg_class AS t ON t.oid = CAST(:table AS regclass) AND t.relnamespace = c.relnamespace
     WHERE c.relkind = 'r' AND c.relname ~ ('^' || t.relname || '_[0-9]+$')
     ORDER BY c.relname""")


def drop_expired(connection: Connection, table: Partitioned, before: datetime) -> list[str]:
    """Drops the partitions that hold nothing as new as that, in short transactions, and answers their names.

    What is as old and in the default partition, because nobody made one for it in time, is deleted: it could not
    expire in any other way. A partition whose lock is not to be had is left to the next run, and all are left to one
    of the tables' owner.
    """
    day = before.astimezone(UTC).date()
    with connection.begin():
        if not connection.scalar(OWNS):
            return []
        expired = [each for each in made(connection, table) if each.period.end <= day]
    dropped = []
    for each in expired:
        if not each.attached or detach(connection, table, each.name):
            with connection.begin():
                connection.execute(text(f"DROP TABLE {each.name}"))
            dropped.append(each.name)
    if table.default is not None:
        with connection.begin():
            connection.execute(text(f"DELETE FROM {table.default} WHERE {table.key} < '{table.bound(day)}'"))  # noqa: S608
    return dropped


def oldest(connection: Connection, table: Partitioned, at_most: datetime) -> datetime:
    """When the oldest partition that is still attached begins, or that time, if it is earlier."""
    with connection.begin():
        firsts = [each.period.first for each in made(connection, table) if each.attached]
    return min([at_most, *(datetime(day.year, day.month, day.day, tzinfo=UTC) for day in firsts)])


@dataclass(frozen=True, slots=True)
class Made:
    """A partition that is there."""

    name: str
    period: Period
    attached: bool


def made(connection: Connection, table: Partitioned) -> Iterator[Made]:
    """All but the default one, the oldest first."""
    for row in connection.execute(_MADE, {"table": table.table}):
        digits = row.name.removeprefix(f"{table.table}_")
        try:
            period = table.period(date(int(digits[:4]), int(digits[4:6]), int(digits[6:] or 1)))
        except ValueError:
            continue  # named by somebody else
        if period.name == digits:
            yield Made(row.name, period, row.attached)


def detach(
    connection: Connection, table: Partitioned, name: str, *, instead: Callable[[], bool] = lambda: True
) -> bool:
    """Detaches it, in one of many short tries, and answers whether that was done.

    ``instead`` is called first in each. What it does is done with the detaching or not at all; where it answers False,
    neither is.
    """
    for _ in range(_TRIES):
        try:
            with connection.begin() as transaction:
                connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
                if not instead():
                    transaction.rollback()
                    return False
                _detach(connection, table, name)
            return True
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCKED:
                raise
        time.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - no secret
    _log.warning("%s is to be taken away, but in use: left to the next run", name)
    return False


def _detach(connection: Connection, table: Partitioned, name: str) -> None:
    """CONCURRENTLY is refused where there is a default partition.

    The table is locked last: whoever writes to it needs neither of the others, and so waits for this lock alone.
    """
    for locked in filter(None, (name, table.default, f"ONLY {table.table}")):
        connection.execute(text(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE"))
    connection.execute(text(f"ALTER TABLE {table.table} DETACH PARTITION {name}"))
