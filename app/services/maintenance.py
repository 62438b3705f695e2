"""Maintenance: partitions for what is to come, rollups of what has been, and an end for what is past its retention."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

from sqlalchemy import Connection, NullPool, create_engine, func, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app import metrics
from app.config import Config
from app.store.engine import session_options
from app.store.packing import pack
from app.store.partitions import HOURS, OBSERVATIONS, PACKED, PATIENCE, TOKENS, ensure_partitions, tomorrow_is_made
from app.store.retention import drop_expired, oldest
from app.store.rollups import Bucket, roll_up, stale_days, stale_hours

_log = logging.getLogger(__name__)

_FIRST_SECONDS = (2.0, 20.0)  # out of the way of a process that is just starting, and not all processes at once
_EVERY_SECONDS = (240.0, 360.0)
_ALL_EVERY_SECONDS = 6 * 3600.0
_RECENT = timedelta(days=2)
_FRESH = timedelta(minutes=4)
_PACKED_AFTER = _RECENT + timedelta(days=1)  # with the day before is compared what is rolled up all the time
_SLACK = timedelta(days=1)  # a token is answered by its id before its row is gone, whatever the clocks say
_TURN = 0x7469_6465_6D61_696E  # "tidemain": whoever has this lock maintains; the others need not
_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    "work_mem": "64MB",
    "statement_timeout": "10min",
    "lock_timeout": "5s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to maintain, and how long things are kept. Daily rollups, and transitions, are kept for ever."""

    url: str
    history_interval: timedelta
    observation_retention: timedelta
    hourly_retention: timedelta
    token_retention: timedelta

    @classmethod
    def of(cls, config: Config, url: str) -> Self:
        """As configured."""
        return cls(
            url=url,
            history_interval=config.history_interval,
            observation_retention=config.observation_retention,
            hourly_retention=config.hourly_retention,
            token_retention=config.token_retention,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintained:
    """What a run has done."""

    hours: int
    days: int
    packed: tuple[date, ...]
    dropped: tuple[str, ...]


def keep_maintained(plan: Plan) -> None:
    """Maintains soon and every few minutes, for ever; at first, and every few hours, all that there is.

    What fails is left to the next run, and keeps nothing else from being done: it may be that the tables are somebody
    else's, who alone may make and drop partitions.
    """
    metrics.succeeded("maintenance")
    time.sleep(random.uniform(*_FIRST_SECONDS))  # noqa: S311 - no secret
    all_due = time.monotonic()
    while True:
        if time.monotonic() < all_due:
            done = _attempt(roll_up_recent, plan)
        else:
            _attempt(lambda plan: ensure_partitions(plan.url), plan)
            done = _attempt(maintain, plan)
            if done:
                all_due = time.monotonic() + _ALL_EVERY_SECONDS
        if done and _attempt(_require_tomorrow, plan):
            metrics.succeeded("maintenance")
        time.sleep(random.uniform(*_EVERY_SECONDS))  # noqa: S311 - no secret


def _attempt(work: Callable[[Plan], object], plan: Plan) -> bool:
    """Whether it was done, or can never be; False where the database may be there again the next time."""
    try:
        work(plan)
    except (SQLAlchemyError, NobodyMakesPartitions) as error:
        _log.warning("maintenance failed, to be tried again: %s", type(error).__name__)
        return not isinstance(error, OperationalError | NobodyMakesPartitions)
    return True


class NobodyMakesPartitions(Exception):
    """Tomorrow has no partitions; `tidemark maintain`, run by the owner of the tables, makes them."""


def _require_tomorrow(plan: Plan) -> None:
    """Raises NobodyMakesPartitions: where servers may not make them, it may be that whoever may has stopped to."""
    if not tomorrow_is_made(plan.url):
        raise NobodyMakesPartitions


def maintain(plan: Plan) -> Maintained | None:
    """Rolls up all that is to be, drops what is past its retention, then packs the observations of days that are over.

    None where somebody else is at it. Doing it twice changes nothing, and one that ends in the middle is made good by
    the next.
    """
    with _turn(plan.url) as connection:
        if connection is None:
            return None
        now = _now(connection)
        since = oldest(connection, OBSERVATIONS, now - plan.observation_retention)
        hours, days = _roll_up(connection, plan, since, now, fresh_for=timedelta(0))
        dropped = [
            name
            for table, retention in (
                (OBSERVATIONS, plan.observation_retention),
                (PACKED, plan.observation_retention),
                (HOURS, plan.hourly_retention),
                (TOKENS, plan.token_retention + _SLACK),
            )
            for name in drop_expired(connection, table, now - retention)
        ]
        packed = pack(connection, now - plan.observation_retention, now - _PACKED_AFTER)
    return Maintained(hours=hours, days=days, packed=tuple(packed), dropped=tuple(dropped))


def roll_up_recent(plan: Plan) -> None:
    """Rolls up what has changed in the last days, unless somebody has just done so, or is at it."""
    with _turn(plan.url) as connection:
        if connection is not None:
            now = _now(connection)
            _roll_up(connection, plan, now - _RECENT, now, fresh_for=_FRESH)


def _roll_up(
    connection: Connection, plan: Plan, since: datetime, now: datetime, *, fresh_for: timedelta
) -> tuple[int, int]:
    """Hours first: a day is to be rolled up when one of its hours was.

    Again only while the day before is kept, too, with which what is counted is compared, and all of the tokens.
    """
    again_since = now - min(plan.observation_retention - timedelta(days=1), plan.token_retention)
    with connection.begin():
        hours = stale_hours(connection, since, again_since=again_since, fresh_for=fresh_for)
    _roll_up_each(connection, plan, hours)
    with connection.begin():
        days = stale_days(connection, since)
    _roll_up_each(connection, plan, days)
    return len(hours), len(days)


def _roll_up_each(connection: Connection, plan: Plan, buckets: Sequence[Bucket]) -> None:
    for bucket in buckets:
        with connection.begin():
            roll_up(connection, bucket, keep_every=plan.history_interval)


def _now(connection: Connection) -> datetime:
    with connection.begin():
        return connection.scalars(select(func.now())).one()


@contextmanager
def _turn(url: str) -> Iterator[Connection | None]:
    """A connection of its own, in no transaction; None where somebody else has the turn.

    The lock is the session's: it ends with the connection, however that ends.
    """
    settings = PATIENCE | {"options": session_options(url, _SETTINGS)}
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=settings)
    with engine.connect() as connection:
        with connection.begin():
            mine = connection.scalar(select(func.pg_try_advisory_lock(_TURN)))
        yield connection if mine else None
