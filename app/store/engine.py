"""Connections, transactions, and the one place where a driver's error becomes one of ours."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.resources import files
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Row, TextClause, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.domain.errors import ServiceUnavailable

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]
"""A row whose columns its statement names."""

_REPEAT_SECONDS = 5.0  # how long a transaction is repeated that meets deadlocks, faster ones or closed connections
_PAUSE_SECONDS = 0.005  # before the first repetition, at most; it doubles
_REPEATABLE = ("40001", "40P01")
_UNAVAILABLE = ("08", "25006", "25P0", "40", "53", "55P03", "57", "58")  # SQLSTATE prefixes; of 25, read-only and idle


def make_engine(url: str, *, pool_size: int = 5, timeout_seconds: float = 5.0) -> Engine:
    """An engine whose every wait ends: for a connection, a lock, a statement, a forgotten transaction.

    ``pool_size`` is the most connections this process opens. Make it after a fork, never before.
    """
    milliseconds = int(timeout_seconds * 1000)
    settings = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "timezone": "UTC",
        "jit": "off",
    }
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_seconds,
        hide_parameters=True,
        connect_args={
            "connect_timeout": max(2, int(timeout_seconds)),  # libpq rounds 1 up to 2
            "tcp_user_timeout": milliseconds,
            "application_name": "tidemark",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
    )


@cache
def statement(name: str) -> TextClause:
    """The hand-tuned statement in ``sql/{name}.sql``."""
    return text((files("app.store") / "sql" / f"{name}.sql").read_text())


@contextmanager
def translated() -> Iterator[None]:
    """Raises ServiceUnavailable for what can clear by itself; anything else is a defect and passes through."""
    try:
        yield
    except PoolTimeoutError:
        raise ServiceUnavailable from None
    except DBAPIError as error:
        if error.connection_invalidated or _unavailable(error):
            raise ServiceUnavailable from None
        raise


def run(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Runs one statement that commits by itself.

    A connection that turns out to be closed (the server was restarted) is replaced once, so ``work`` must be such
    that doing it twice does no harm. Raises ServiceUnavailable.
    """
    with translated():
        try:
            with _autocommit(engine).connect() as connection:
                return work(connection)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        with _autocommit(engine).connect() as connection:
            return work(connection)


@lru_cache(maxsize=16)
def _autocommit(engine: Engine) -> Engine:
    """The same engine and pool, each statement committing by itself; made once, because that costs as much as one."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def transact(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Runs ``work`` in one transaction and commits it.

    A deadlock, a serialization failure, a connection lost before COMMIT was sent or Repeat from ``work`` leaves
    nothing behind, and the work is done again. A COMMIT without an answer is not repeated: its outcome is unknown.
    Raises ServiceUnavailable.
    """
    deadline = time.monotonic() + _REPEAT_SECONDS
    with translated():
        for attempt in count():
            try:
                return _once(engine, work)
            except Repeat:
                if time.monotonic() > deadline:
                    raise ServiceUnavailable from None
            # Those who got in each other's way would do so again, were they not to part. No connection is held.
            time.sleep(random.uniform(0, _PAUSE_SECONDS * 2 ** min(attempt, 5)))  # noqa: S311 - no secret
    raise AssertionError  # `count` never ends


class Repeat(Exception):
    """The transaction is to leave nothing behind and to be tried again, from its reads on."""


def _once(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.connect() as connection, connection.begin() as transaction:
        try:
            result = work(connection)
        except DBAPIError as error:
            if error.connection_invalidated or _sqlstate(error) in _REPEATABLE:
                raise Repeat from error
            raise
        transaction.commit()
        return result


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _unavailable(error: DBAPIError) -> bool:
    sqlstate = _sqlstate(error)
    if sqlstate is None:  # never reached the server, or lost it
        return type(error).__name__ in ("OperationalError", "InterfaceError")
    return sqlstate.startswith(_UNAVAILABLE)
