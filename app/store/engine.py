"""Connections, transactions, deadlines, and the one place where a driver's error becomes one of ours."""

import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import count
from threading import BoundedSemaphore
from typing import Any, Self, TypeVar, cast
from uuid import UUID

import psycopg
from psycopg.abc import PQGen, PQGenConn
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    ExceptionContext,
    QueuePool,
    Row,
    TextClause,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError

from app.domain.errors import ServiceUnavailable
from app.store.deadline import seconds_left, spending

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]
"""A row whose columns its statement names."""

_PAUSE_SECONDS = 0.005  # before the first repetition, at most; it doubles
_REPEATABLE = ("40001", "40P01")
_LOCKED = "55P03"
_UNAVAILABLE = ("08", "25006", "25P0", "40", "53", "55P03", "57", "58")  # SQLSTATE prefixes; of 25, read-only and idle
_SERVERS_SHARE = 0.8  # of the time: it gives up first, so that a slow statement or a lock costs no connection
_LEAST_SECONDS = 0.02  # with less left, nothing is asked: it would only cost a connection


def make_engine(url: str, *, pool_size: int = 5, max_callers: int = 1000, timeout_seconds: float = 5.0) -> Engine:
    """An engine whose every wait ends: for a connection, a lock, a statement, a server that never answers.

    ``pool_size`` is the most connections this process opens; ``max_callers`` may use one or wait for one at a time, one
    more is refused at once; ``timeout_seconds`` is what `run` or `transact` may take, unless a `deadline.patience` says
    otherwise. Make it after a fork, never before.
    """
    milliseconds = int(timeout_seconds * 1000)
    servers = int(milliseconds * _SERVERS_SHARE)
    settings = {
        "statement_timeout": servers,
        "lock_timeout": servers,
        "idle_in_transaction_session_timeout": milliseconds,
        "timezone": "UTC",
        "jit": "off",
    }
    gate = _Gate(timeout_seconds, max_callers, deque([None] * max_callers), BoundedSemaphore(pool_size))
    engine = create_engine(
        url,
        execution_options={"gate": gate},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_seconds,
        hide_parameters=True,
        connect_args={
            "tcp_user_timeout": milliseconds,
            "application_name": "tidemark",
            "options": session_options(url, settings),
        },
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "handle_error", _keep_pool)
    return engine


def session_options(url: str | URL, settings: Mapping[str, object]) -> str:
    """What a connection asks of its session: what the URL has it ask, and these settings, which count more."""
    asked = cast("str", make_url(url).query.get("options", ""))
    return " ".join([asked, *(f"-c {name}={value}" for name, value in settings.items())]).strip()


@dataclass(frozen=True, slots=True)
class _Gate:
    """What stands before an engine's pool."""

    timeout_seconds: float
    max_callers: int
    places: deque[None]  # one for each caller more that there may be; a deque, because a semaphore costs ten times that
    turns: BoundedSemaphore  # of the callers, those with a connection


_passed: ContextVar[_Gate | None] = ContextVar("passed", default=None)  # by the present caller


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an engine is."""

    callers: int  # at the database or waiting for it
    connections: int  # in use


def load_of(engine: Engine) -> Load:
    """The load of an engine at this moment."""
    gate = _gate(engine)
    return Load(gate.max_callers - len(gate.places), cast("QueuePool", engine.pool).checkedout())


def _gate(engine: Engine) -> _Gate:
    return cast("_Gate", engine.get_execution_options()["gate"])


@cache
def statement(name: str) -> TextClause:
    """The hand-tuned statement in ``sql/{name}.sql``."""
    return text((files("app.store") / "sql" / f"{name}.sql").read_text())


def array(values: Iterable[UUID | int | None]) -> str:
    """A Postgres array as text: psycopg takes ten times as long, for it looks at each member whether to quote it."""
    members = ",".join(["NULL" if value is None else str(value) for value in values])
    return f"{{{members}}}"


@contextmanager
def translated() -> Iterator[None]:
    """Raises ServiceUnavailable for what can clear by itself; anything else is a defect and passes through."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated or _unavailable(error):
            raise ServiceUnavailable(undone=_sqlstate(error) == _LOCKED) from None
        raise


def run(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Runs ``work``, each of whose statements commits by itself.

    A connection that turns out to be closed (the server was restarted) is replaced once, so ``work`` must be such
    that doing it twice does no harm. Raises ServiceUnavailable.
    """
    with _turn(engine), translated():
        try:
            with _autocommit(engine).connect() as connection:
                return work(connection)
        except DBAPIError as error:
            if not error.connection_invalidated or seconds_left() <= 0:
                raise
        with _autocommit(engine).connect() as connection:
            return work(connection)


@lru_cache(maxsize=16)
def _autocommit(engine: Engine) -> Engine:
    """The same engine and pool, each statement committing by itself; made once, because that costs as much as one."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def transact_at_once(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Runs ``work`` in one transaction that is given up where `transact` would try again.

    Raises ServiceUnavailable, as undone in that case and where ``work`` did not want to wait for a lock.
    """
    try:
        with _turn(engine), translated():
            return _once(engine, work)
    except Repeat:
        raise ServiceUnavailable(undone=True) from None


def transact(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Runs ``work`` in one transaction and commits it.

    A deadlock, a serialization failure, a connection lost before COMMIT was sent or Repeat from ``work`` leaves
    nothing behind, and the work is done again while there is time. A COMMIT without an answer is not repeated: its
    outcome is unknown. Raises ServiceUnavailable.
    """
    with spending(_gate(engine).timeout_seconds):
        for attempt in count():
            try:
                with _turn(engine), translated():
                    return _once(engine, work)
            except Repeat:
                # Those who got in each other's way would do so again, were they not to part. No connection is held.
                pause = random.uniform(0, _PAUSE_SECONDS * 2 ** min(attempt, 5))  # noqa: S311 - no secret
                if pause >= seconds_left():
                    raise ServiceUnavailable from None
                time.sleep(pause)
    raise AssertionError  # `count` never ends


class Repeat(Exception):
    """The transaction is to leave nothing behind and to be tried again, from its reads on."""


class admitted:  # noqa: N801 - used as a function
    """Counts as one of the engine's callers, however often it is entered, whose time is running.

    Raises ServiceUnavailable at once when there are too many.
    """

    __slots__ = ("_gate", "_spending", "_token")

    def __init__(self, engine: Engine) -> None:
        self._gate = _gate(engine)
        self._token: Token[_Gate | None] | None = None

    def __enter__(self) -> None:
        if _passed.get() is self._gate:
            return
        try:
            self._gate.places.pop()
        except IndexError:
            raise ServiceUnavailable from None
        self._token = _passed.set(self._gate)
        self._spending = spending(self._gate.timeout_seconds)
        self._spending.__enter__()

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            self._spending.__exit__()
            _passed.reset(self._token)
            self._gate.places.append(None)


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """Entered when a connection of the pool is free; raises ServiceUnavailable, at the latest at the deadline.

    The pool itself is never waited for, whose time-out is the same for everybody.
    """
    turns = _gate(engine).turns
    with admitted(engine):
        if not turns.acquire(timeout=seconds_left()):
            raise ServiceUnavailable
        try:
            if seconds_left() < _LEAST_SECONDS:
                raise ServiceUnavailable
            yield
        finally:
            turns.release()


class _Connection(psycopg.Connection):
    """psycopg's, which gives up at the deadline on a server that never answers. What was sent may yet be done."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg's; a connection given up is closed, for the answer may still come and be taken for another."""
        left = seconds_left()
        try:
            return super().wait(gen, interval, left if left < math.inf else timeout)
        except psycopg.OperationalError:
            if seconds_left() <= 0:
                self.pgconn.finish()
            raise

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> PQGenConn[Self]:
        """As psycopg's, whose own time-out is in whole seconds, two at least, and for each address anew."""
        connecting = super()._connect_gen(conninfo)
        try:
            waited_for = next(connecting)
            while seconds_left() > 0:
                waited_for = connecting.send((yield waited_for))
        except StopIteration as made:
            return cast("Self", made.value)
        raise psycopg.OperationalError("no time is left to connect")


def _connect(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> psycopg.Connection:
    return _Connection.connect(*arguments, **parameters)


def _keep_pool(context: ExceptionContext) -> None:
    """A connection given up at the deadline says nothing of the others; one closed by the server says that all are."""
    if seconds_left() <= 0:
        context.invalidate_pool_on_disconnect = False


def _once(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.connect() as connection, connection.begin() as transaction:
        try:
            result = work(connection)
        except DBAPIError as error:
            if error.connection_invalidated or _sqlstate(error) in _REPEATABLE:
                raise Repeat from error
            raise
        try:
            transaction.commit()
        except Exception:  # whatever it is: nobody knows whether it has committed, and nothing may be done again
            raise ServiceUnavailable from None
        return result


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _unavailable(error: DBAPIError) -> bool:
    sqlstate = _sqlstate(error)
    if sqlstate is None:  # never reached the server, or lost it
        return type(error).__name__ in ("OperationalError", "InterfaceError")
    return sqlstate.startswith(_UNAVAILABLE)
