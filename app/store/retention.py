"""What is past its retention goes by the partition, and nobody who reads or writes the others waits for it."""

import logging
import random
import time
from collections.abc import Iterator
from datetime import date, datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app.store.partitions import OWNS, Partitioned

_log = logging.getLogger(__name__)

_LOCK_TIMEOUT = "20ms"  # so long, at most, does a writer stand behind a detachment that cannot have its lock
_TRIES = 500
_PAUSE_SECONDS = (0.01, 0.05)
_LOCKED = "55P03"

# Also those that were detached, but not dropped any more.
_MADE = """
    SELECT c.relname AS name, c.relispartition AS attached
      FROM pg_class AS c
      JOIN pg_class AS t ON t.oid = CAST(:table AS regclass) AND t.relnamespace = c.relnamespace
     WHERE c.relkind = 'r' AND c.relname ~ ('^' || t.relname || '_[0-9]+$')
     ORDER BY c.relname
"""


def drop_partitions(connection: Connection, table: Partitioned, before: datetime) -> list[str]:
    """Drops the partitions that hold nothing as new as that, in short transactions, and answers their names.

    A partition whose lock is not to be had is left to the next run, and all are left to one of the tables' owner.
    """
    with connection.begin():
        if not connection.scalar(OWNS):
            return []
        expired = list(_expired(connection, table, before.date()))
    dropped = []
    for name, attached in expired:
        if not attached or _detached(connection, table, name):
            with connection.begin():
                connection.execute(text(f"DROP TABLE {name}"))
            dropped.append(name)
    return dropped


def _expired(connection: Connection, table: Partitioned, day: date) -> Iterator[tuple[str, bool]]:
    """Names, and whether they are still attached."""
    for row in connection.execute(text(_MADE), {"table": table.table}):
        digits = row.name.removeprefix(f"{table.table}_")
        try:
            period = table.period(date(int(digits[:4]), int(digits[4:6]), int(digits[6:] or 1)))
        except ValueError:
            continue  # named by somebody else
        if period.name == digits and period.end <= day:
            yield row.name, row.attached


def _detached(connection: Connection, table: Partitioned, name: str) -> bool:
    """Detaches it, in one of many short tries, and answers whether that was done."""
    for _ in range(_TRIES):
        try:
            with connection.begin():
                _detach(connection, table, name)
            return True
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCKED:
                raise
        time.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - no secret
    _log.warning("%s is past its retention, but in use: left to the next run", name)
    return False


def _detach(connection: Connection, table: Partitioned, name: str) -> None:
    """CONCURRENTLY is refused where there is a default partition.

    The table is locked last: whoever writes to it needs neither of the others, and so waits for this lock alone.
    """
    for sql in (
        f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'",
        f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE",
        f"LOCK TABLE {table.table}_default IN ACCESS EXCLUSIVE MODE",
        f"LOCK TABLE ONLY {table.table} IN ACCESS EXCLUSIVE MODE",
        f"ALTER TABLE {table.table} DETACH PARTITION {name}",
    ):
        connection.execute(text(sql))
