"""What history costs: ``python -m tests.benchmarks.history`` fills a database with observations, and measures.

The bars: a day's rollup under 20 s; retention of a day under 1 s, with no writer waiting for its lock; at most 150
bytes an observation, indexes included; recording at most a quarter of a report's cost.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
import sqlalchemy as sa

from app.domain.chart import Chart
from app.domain.connector import Report, StreamPosition
from app.domain.names import Address, tenant_id
from app.domain.position import Position
from app.embedded import embedded_postgres
from app.services import maintenance
from app.services.report import Addressed, record
from app.store import schema
from app.store.engine import make_engine, transact
from app.store.history import read_history
from app.store.partitions import HOURS, OBSERVATIONS, make_partition
from app.store.retention import drop_partitions
from app.store.rollups import Bucket, Grain, roll_up
from tests.tenants import add_tenant

CONNECTORS = 1000
PER_DAY = 334  # observations of a connector: ten million in thirty days
_SQL = Path(__file__).with_name("sql")
_KEEP_EVERY = timedelta(seconds=300)


def main() -> None:
    """Prints what was measured beside its bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.history", description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    days = parser.parse_args().days
    with tempfile.TemporaryDirectory(prefix="tidemark-history-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with embedded_postgres(directory / "postgres") as url:
            schema.upgrade(url)
            engine = make_engine(url, timeout_seconds=60.0)
            _say("recording", *recording(engine))
            with taking() as seconds:
                fill(engine, url, days)
            _say("loading", f"{CONNECTORS * PER_DAY * days:,} observations in {seconds():.0f} s", "")
            _say("size", *size(engine))
            _say("rollup", *rollup(engine, days))
            _say("charts", *charts(engine, days))
            _say("retention", *retention(engine, days))


def add_connectors(engine: sa.Engine) -> list[Address]:
    """Makes the connectors, by a report each."""
    with engine.begin() as connection:
        tenant = add_tenant(connection, "default")
    addresses = [Address(tenant, f"p{n % 10}", "orders", f"c{n}") for n in range(CONNECTORS)]
    for start in range(0, CONNECTORS, 100):
        _report(engine, addresses[start : start + 100], 0, _KEEP_EVERY)
    return addresses


def fill(engine: sa.Engine, url: str, days: int) -> None:
    """So many days of observations up to yesterday, through the real partitions with COPY."""
    script = (_SQL / "make_observations.sql").read_text()
    today = datetime.now(UTC).date()
    for number in range(days):
        day = today - timedelta(days=days - number)
        with engine.begin() as connection:
            for table in (OBSERVATIONS, HOURS):
                period, made = table.period(day), f"{table.table}_{table.period(day).name}"
                if not connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": made}):
                    make_partition(connection, table, period, in_use=False)
        _copy(url, script.format(day=f"{day} 00:00Z", day_number=number, per_day=PER_DAY))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("SET statement_timeout = 0"))
        connection.execute(sa.text("VACUUM (ANALYZE) observation"))


def _copy(url: str, making: str) -> None:
    conninfo = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo) as source, psycopg.connect(conninfo) as sink:
        columns = (
            "connector_id, recorded_at, version, epoch_number, received, completed, completed_version, lag_records,"
            " lag_seconds, total_bytes, total_records, buffered_records, buffered_bytes, num_transport_errors,"
            " num_parse_errors, end_of_input, processing_latency_p99_micros, fatal_error, health_status, paused,"
            " barrier, progress, interval_seconds"
        )
        with (
            source.cursor().copy(making) as made,
            sink.cursor().copy(f"COPY observation ({columns}) FROM STDIN") as taken,
        ):
            for block in made:
                taken.write(block)


def size(engine: sa.Engine) -> tuple[str, str]:
    """Bytes an observation, of the table and of its index."""
    with engine.connect() as connection:
        row = connection.execute(
            sa.text(
                "SELECT sum(pg_table_size(inhrelid)) AS rows, sum(pg_indexes_size(inhrelid)) AS keys,"
                " (SELECT count(*) FROM observation) AS count"
                " FROM pg_inherits WHERE inhparent = 'observation'::regclass"
            )
        ).one()
    each = [float(row.rows / row.count), float(row.keys / row.count)]
    return f"{sum(each):.0f} bytes an observation: {each[0]:.0f} in the table, {each[1]:.0f} in its index", "150"


def rollup(engine: sa.Engine, days: int) -> tuple[str, str]:
    """The hours of a day, and the day: seconds, and those of them in which the server computed for it."""
    midnight = _midnight(days // 2 or 1)
    buckets = [Bucket(Grain.HOUR, midnight + timedelta(hours=n)) for n in range(24)] + [Bucket(Grain.DAY, midnight)]
    with maintenance._turn(engine.url.render_as_string(hide_password=False)) as connection:
        assert connection is not None
        with connection.begin():
            backend = psutil.Process(connection.scalars(sa.text("SELECT pg_backend_pid()")).one())
        before = backend.cpu_times()
        with taking() as seconds:
            for bucket in buckets:
                with connection.begin():
                    roll_up(connection, bucket, keep_every=_KEEP_EVERY)
        after = backend.cpu_times()
    computed = after.user + after.system - before.user - before.system
    return f"{seconds():.1f} s a day, {computed:.1f} s of a processor", "20 s"


def charts(engine: sa.Engine, days: int) -> tuple[str, str]:
    """A connector's two days by the quarter of an hour, and by the hour as many days as there are."""
    address, until = Address(tenant_id("default"), "p3", "orders", "c3"), _midnight(0)
    told = []
    for length, step in ((min(days, 2), timedelta(minutes=15)), (min(days, 40), timedelta(hours=1))):
        chart = Chart(since=until - timedelta(days=length), until=until, step=step)
        taken = []
        for _ in range(9):
            with taking() as seconds, engine.connect() as connection:
                read_history(connection, address, chart, keep_every=_KEEP_EVERY)
            taken.append(seconds())
        told.append(f"{1000 * statistics.median(taken):.0f} ms for {length} days by {step}")
    return ", ".join(told), ""


def _midnight(days_ago: int) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)


def retention(engine: sa.Engine, days: int) -> tuple[str, str]:
    """A day dropped while others report: how long it takes, and how long the slowest of their reports does."""
    addresses = add_connectors(engine)[:8]
    slowest: list[float] = []
    stop = threading.Event()
    threads = [threading.Thread(target=_report_until, args=(engine, each, stop, slowest)) for each in addresses[:4]]
    for thread in threads:
        thread.start()
    time.sleep(2)
    before = max(slowest)
    slowest.clear()
    before_day = datetime.now(UTC) - timedelta(days=days - 1)
    with maintenance._turn(engine.url.render_as_string(hide_password=False)) as connection:
        assert connection is not None
        with taking() as seconds:
            dropped = drop_partitions(connection, OBSERVATIONS, before_day)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    told = f"{seconds():.2f} s for {len(dropped)} day; the slowest report took {1000 * max(slowest):.0f} ms meanwhile"
    return f"{told}, {1000 * before:.0f} ms in the two seconds before", "1 s"


def recording(engine: sa.Engine, rounds: int = 40) -> tuple[str, str]:
    """Batches of a hundred reports of which each is observed, and such of which none is, in turn."""
    addresses = add_connectors(engine)[:100]
    taken: dict[timedelta, list[float]] = {timedelta(0): [], timedelta(days=1): []}
    version = 1
    for _ in range(rounds):
        for keep_every, found in taken.items():
            with taking() as seconds:
                _report(engine, addresses, version, keep_every)
            found.append(seconds())
            version += 1
    with_history, without = (statistics.median(found) for found in taken.values())
    share = 1 - without / with_history
    return (
        f"{share:.0%} of a report: {10 * with_history:.2f} ms with its observation, {10 * without:.2f} without",
        "25%",
    )


def _report(engine: sa.Engine, addresses: list[Address], version: int, keep_every: timedelta) -> None:
    """A report to each; its connector must be at that version."""
    position = StreamPosition(epoch="run-1", received=Position.parse(version), completed=Position.parse(version))
    items = [Addressed(each, Report(if_match=version, position=position, interval_seconds=60)) for each in addresses]
    transact(engine, lambda c: record(c, items, keep_every=keep_every))


def _report_until(engine: sa.Engine, address: Address, stop: threading.Event, taken: list[float]) -> None:
    with engine.connect() as connection:
        version = connection.scalars(sa.text("SELECT version FROM connector WHERE id = :id"), {"id": address.id}).one()
    while not stop.is_set():
        with taking() as seconds:
            _report(engine, [address], version, timedelta(0))
        taken.append(seconds())
        version += 1


@contextmanager
def taking() -> Iterator[Callable[[], float]]:
    """Gives what tells how many seconds the block has taken."""
    started, ended = time.monotonic(), [0.0]
    yield lambda: ended[0] - started
    ended[0] = time.monotonic()


def _say(what: str, measured: str, bar: str) -> None:
    print(f"{what:10} {measured}{f'  (bar: {bar})' if bar else ''}", flush=True)


if __name__ == "__main__":
    main()
