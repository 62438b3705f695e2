"""What the commands work with: the configuration, and the database that it names or that is embedded."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine

from app.config import Config, ConfigError
from app.domain.status import format_time
from app.embedded import embedded_postgres
from app.store import roles, schema
from app.store.engine import make_engine, run, transact
from app.store.partitions import ensure_partitions

T = TypeVar("T")


def configuration() -> Config:
    """As the environment has it. Raises ConfigError."""
    return Config.read(os.environ)


@contextmanager
def database_url(config: Config) -> Iterator[str]:
    """The configured database, or the embedded one for as long as it is needed."""
    if config.database_url is not None:
        yield config.database_url
    else:
        with embedded_postgres(config.data_directory / "postgres") as url:
            yield url


@contextmanager
def database(config: Config) -> Iterator[str]:
    """The same, ready for use: the embedded one is migrated, a configured one must have been. Raises ConfigError."""
    with database_url(config) as url:
        if config.database_url is None:
            bring_up_to_date(url)
        with engine_of(config, url) as engine:
            if not run(engine, schema.is_current):
                raise ConfigError("DATABASE_URL: the database is not at this version's schema: run tidemark db upgrade")
        yield url


@contextmanager
def engine_of(config: Config, url: str) -> Iterator[Engine]:
    """An engine for a moment."""
    engine = make_engine(url, pool_size=2, timeout_seconds=config.request_timeout)
    try:
        yield engine
    finally:
        engine.dispose()


def transacted(work: Callable[[Connection], T]) -> T:
    """Does the work in a transaction on the configured database."""
    config = configuration()
    with database(config) as url, engine_of(config, url) as engine:
        return transact(engine, work)


def told(instant: datetime | None) -> str:
    """An instant as it is printed."""
    return "-" if instant is None else format_time(instant)


def bring_up_to_date(url: str) -> None:
    """The schema, the grants to roles that have some, and the partitions of the days ahead."""
    schema.upgrade(url)
    roles.renew(url)
    ensure_partitions(url)
