"""Partitions, made ahead of time (design §3): of completion tokens by the time in their id, of observations by day, of
hourly rollups by month.

An insert never fails for want of one: a row of a day without a partition goes to the default partition, from which
the next run of `ensure_partitions` moves it, if that is made on the same day.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

DAYS_AHEAD = 14
PATIENCE = {"connect_timeout": 5, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_LOCK_TIMEOUT = "2s"
_TURN = 0x7469_6465_7061_7274  # "tidepart": whoever has this lock makes partitions; the others need not
_TAKE_TURN = text("SELECT pg_try_advisory_lock(:turn)")
OWNS = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'observation'::regclass")
"""Whether the role may make and drop partitions: the app's may not, and leaves them to the owner's runs."""


@dataclass(frozen=True, slots=True)
class Period:
    """A partition's time, in days of UTC."""

    name: str  # what follows the table's
    first: date
    end: date  # the first day after it

    def __contains__(self, day: date) -> bool:
        return self.first <= day < self.end


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table that is partitioned by time."""

    table: str
    key: str
    bound: Callable[[date], str]  # the least key of a day, as a literal
    period: Callable[[date], Period]  # that a day is in
    days_back: int = 0  # for how many days before today rows are written
    has_default: bool = True

    @property
    def default(self) -> str | None:
        """The partition of what has none of its own."""
        return f"{self.table}_default" if self.has_default else None

    def periods(self, today: date, days_ahead: int) -> Iterator[Period]:
        """All that rows are written to today, and on the days ahead."""
        day = today - timedelta(days=self.days_back)
        while day <= today + timedelta(days=days_ahead):
            yield (period := self.period(day))
            day = period.end


def _token_id(day: date) -> str:
    """The least UUIDv7 of a day (RFC 9562 §5.7: 48 bits of milliseconds come first)."""
    return str(UUID(int=int(_midnight(day).timestamp() * 1000) << 80))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _instant(day: date) -> str:
    return _midnight(day).isoformat()


def _day(day: date) -> Period:
    return Period(f"{day:%Y%m%d}", day, day + timedelta(days=1))


def _month(day: date) -> Period:
    first = day.replace(day=1)
    return Period(f"{day:%Y%m}", first, (first + timedelta(days=31)).replace(day=1))


def _literal(day: date) -> str:
    return day.isoformat()


TOKENS = Partitioned("completion_token", "id", _token_id, _day)
OBSERVATIONS = Partitioned("observation", "recorded_at", _instant, _day)
PACKED = Partitioned("packed_observation", "day", _literal, _day, has_default=False)
"""What observations are packed into: its partitions come with what is in them (`packing`)."""
HOURS = Partitioned("connector_hourly", "starts_at", _instant, _month, days_back=31)


def ensure_partitions(url: str, *, days_ahead: int = DAYS_AHEAD) -> None:
    """Makes the partitions of today and of the days ahead, one short transaction each; safe under load.

    Works on a connection of its own. Does nothing where somebody else is at it, and for a role that does not own the
    tables; leaves for the next run a partition whose lock is not to be had within two seconds.
    """
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=PATIENCE)
    with engine.connect() as connection:
        with connection.begin():
            # The lock is the session's: it ends with the connection, however that ends.
            if not connection.scalar(OWNS) or not connection.scalar(_TAKE_TURN, {"turn": _TURN}):
                return
            today = connection.scalars(text("SELECT (now() AT TIME ZONE 'UTC')::date")).one()
        for table in (TOKENS, OBSERVATIONS, HOURS):
            for period in table.periods(today, days_ahead):
                _ensure(connection, table, period, today)


def tomorrow_is_made(url: str) -> bool:
    """Whether tomorrow's partitions are there, whoever has made them."""
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=PATIENCE)
    with engine.connect() as connection, connection.begin():
        tomorrow = connection.scalars(text("SELECT (now() AT TIME ZONE 'UTC')::date + 1")).one()
        names = [f"{table.table}_{table.period(tomorrow).name}" for table in (TOKENS, OBSERVATIONS, HOURS)]
        found = text("SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest(CAST(:names AS text[])) AS n (name)")
        return bool(connection.scalar(found, {"names": names}))


def _ensure(connection: Connection, table: Partitioned, period: Period, today: date) -> None:
    try:
        with connection.begin():
            name = f"{table.table}_{period.name}"
            if not connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}):
                make_partition(connection, table, period, in_use=today in period)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
            raise


def make_partition(connection: Connection, table: Partitioned, period: Period, *, in_use: bool) -> None:
    """Built beside the table and then attached, which locks out nobody who uses the table's other partitions.

    But rows of today are in use, and may be in the default partition, from which they move along: whoever had planned
    to look there would not find them, so then nobody may be using the table at all.
    """
    low, high = table.bound(period.first), table.bound(period.end)
    name, default = f"{table.table}_{period.name}", f"{table.table}_default"
    of_period = f"{table.key} >= '{low}' AND {table.key} < '{high}'"
    in_use = in_use or connection.scalars(text(f"SELECT EXISTS (SELECT FROM {default} WHERE {of_period})")).one()  # noqa: S608
    for sql in (
        f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'",
        f"LOCK TABLE {table.table if in_use else default} IN ACCESS EXCLUSIVE MODE",
        f"CREATE TABLE {name} (LIKE {table.table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"WITH moved AS (DELETE FROM {default} WHERE {of_period} RETURNING *) INSERT INTO {name} SELECT * FROM moved",  # noqa: S608
        f"ALTER TABLE {table.table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')",
    ):
        connection.execute(text(sql))
