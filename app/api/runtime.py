"""What a request works with: made once per process by the factory, fetched by the views."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast
from uuid import UUID

from flask import Flask, current_app, g
from sqlalchemy import Connection, Engine

from app import metrics
from app.api.renderings import Renderings
from app.config import Config
from app.domain.errors import TidemarkError
from app.domain.roles import Principal
from app.domain.token import TokenId
from app.services.authenticate import KeyWatch, Principals
from app.services.check import Asked, Checked, check
from app.services.follow import Streams
from app.services.issue import Issuer, IssueRequest
from app.services.report import Addressed, Recorded, record
from app.services.seats import Seats
from app.services.tally import Tally
from app.services.waiters import Waiters
from app.store.batcher import Batcher
from app.store.engine import AnyRow, admitted, make_engine, run, transact, transact_at_once
from app.store.keys import still_valid
from app.store.status import StatsQuery, read_stats

_EXTENSION = "tidemark"
_MAX_BATCH = 100  # items; a transaction of so many reports is still a short one

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Outcomes = list[Answer | TidemarkError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The process's configuration and database engine, what goes there in batches (design §4), and what is kept."""

    config: Config
    engine: Engine
    stats: Batcher[StatsQuery, AnyRow]
    issue: Batcher[IssueRequest, TokenId]
    check: Batcher[Asked, Checked]
    report: Batcher[Addressed, Recorded]
    waiters: Waiters
    streams: Streams
    renderings: Renderings
    principals: Principals
    tally: Tally

    @classmethod
    def make(cls, config: Config, database_url: str) -> "Runtime":
        """All of it. Call it after a fork: it makes the engine."""
        engine = make_engine(
            database_url,
            pool_size=config.pool_size,
            max_callers=config.max_callers,
            timeout_seconds=config.request_timeout,
        )
        waiters = Waiters(
            engine, database_url, Seats(most=config.max_waits, most_of_one=config.max_waits_per_credential)
        )
        return cls(
            config=config,
            engine=engine,
            stats=_batcher("stats", engine, read_stats),
            issue=_batcher("issue", engine, Issuer().issue),
            check=_batcher("check", engine, partial(check, retention=config.token_retention)),
            report=_report_batcher(engine, config),
            waiters=waiters,
            streams=_streams(engine, waiters, config),
            renderings=Renderings(),
            principals=Principals(),
            tally=Tally(engine),
        )

    def close(self) -> None:
        """Lets everybody who waits go, and writes what is still to be written, for the process is about to end."""
        self.waiters.close()
        self.tally.close()


def install(runtime: Runtime) -> None:
    """Makes it the current application's."""
    current_app.extensions[_EXTENSION] = runtime


def current() -> Runtime:
    """The current application's."""
    return of(current_app)


def of(app: Flask) -> Runtime:
    """An application's."""
    return cast("Runtime", app.extensions[_EXTENSION])


def principal() -> Principal:
    """Whoever makes the current request; authenticated before any view runs."""
    return cast("Principal", g.principal)


def tenant() -> UUID:
    """The tenant that the current request is confined to."""
    return principal().tenant_id


def _batcher(
    kind: str, engine: Engine, work: Callable[[Connection, Sequence[Item]], Outcomes[Answer]]
) -> Batcher[Item, Answer]:
    """Of what is one statement, which commits by itself."""

    def batch(items: Sequence[Item]) -> Outcomes[Answer]:
        outcomes = run(engine, lambda connection: work(connection, items))
        metrics.count_batch(kind, outcomes)
        return outcomes

    return Batcher(batch, admit=partial(admitted, engine), max_batch=_MAX_BATCH)


def _report_batcher(engine: Engine, config: Config) -> Batcher[Addressed, Recorded]:
    """As if the reports to one connector had come one after another: each is a batch's only one.

    And as if those to others had not: a batch is in a hurry, and whom somebody is in the way of waits alone.
    """
    work = partial(record, keep_every=config.history_interval)

    def batch(items: Sequence[Addressed]) -> Outcomes[Recorded]:
        outcomes = transact_at_once(engine, lambda connection: work(connection, items, hurry=True))
        metrics.count_batch("report", outcomes)
        return outcomes

    def alone(item: Addressed) -> Recorded | TidemarkError:
        outcomes = transact(engine, lambda connection: work(connection, [item]))
        metrics.count_batch("report", outcomes)
        return outcomes[0]

    return Batcher(
        batch,
        alone=alone,
        admit=partial(admitted, engine),
        max_batch=_MAX_BATCH,
        key=lambda item: item.address,
    )


def _streams(engine: Engine, waiters: Waiters, config: Config) -> Streams:
    keys = KeyWatch(lambda ids: run(engine, lambda connection: still_valid(connection, ids)))
    seats = Seats(most=config.max_streams, most_of_one=config.max_streams_per_credential)
    return Streams(engine, waiters, keys, seats, retention=config.token_retention)
