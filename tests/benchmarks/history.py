"""What history costs: ``python -m tests.benchmarks.history`` fills a database with observations, and measures.

The bars: a day's rollup under 20 s; retention of a day under 1 s, with no writer waiting for its lock; at most 150
bytes an observation, indexes included; recording at most a quarter of a report's cost; each of the twenty questions of
docs/reporting.md under 1 s, and under a twentieth of what it takes by raw observations where rollups answer it
(`questions.BY_ROLLUPS`).
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import sqlalchemy as sa

from app.domain.chart import Chart
from app.domain.names import Address, tenant_id
from app.embedded import embedded_postgres
from app.services import maintenance
from app.store import schema
from app.store.engine import make_engine
from app.store.history import read_history
from app.store.partitions import PACKED
from app.store.retention import drop_expired
from app.store.rollups import Bucket, Grain, roll_up
from tests.benchmarks import questions
from tests.benchmarks.measure import taking
from tests.benchmarks.observations import CONNECTORS, KEEP_EVERY, PER_DAY, add_connectors, fill, pack_old, report


def main() -> None:
    """Prints what was measured beside its bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.history", description=__doc__)
    parser.add_argument("--days", type=int, default=30, help=f"of observations, at least {questions.LEAST_DAYS}")
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
            _say("rollup", *rollup(engine, days))
            _say("packing", *packing(engine, url, days))
            _say("size", *size(engine, days))
            _say("charts", *charts(engine, days))
            _say("questions", *questions_asked(url, days))
            _say("retention", *retention(engine, url, days))


def packing(engine: sa.Engine, url: str, days: int) -> tuple[str, str]:
    """All days that are over for some time, but one."""
    with taking() as seconds:
        packed = pack_old(engine, url, days, but=1)
    return f"{seconds() / packed:.1f} s a day, {packed} of them", ""


def size(engine: sa.Engine, days: int) -> tuple[str, str]:
    """Bytes an observation, of tables and indexes: as it is recorded, packed, and of all together."""
    told = []
    in_all = 0
    with engine.connect() as connection:
        for table, counted in (("observation", "count(*)"), ("packed_observation", "sum(cardinality(version))")):
            row = connection.execute(
                sa.text(
                    "SELECT sum(pg_table_size(inhrelid)) AS rows, sum(pg_indexes_size(inhrelid)) AS keys,"
                    f" (SELECT {counted} FROM {table}) AS count"
                    f" FROM pg_inherits WHERE inhparent = '{table}'::regclass"
                )
            ).one()
            each = [float(row.rows / row.count), float(row.keys / row.count)]
            told.append(f"{table} {sum(each):.0f}: {each[0]:.0f} in the table, {each[1]:.0f} in its index")
            in_all += row.rows + row.keys
    return f"{in_all / (CONNECTORS * PER_DAY * days):.0f} bytes an observation ({'; '.join(told)})", "150"


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
                    roll_up(connection, bucket, keep_every=KEEP_EVERY)
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
                read_history(connection, address, chart, keep_every=KEEP_EVERY)
            taken.append(seconds())
        told.append(f"{1000 * statistics.median(taken):.0f} ms for {length} days by {step}")
    return ", ".join(told), ""


def questions_asked(url: str, days: int) -> tuple[str, str]:
    """The twenty questions: the slowest, and what some take by rollups and by observations."""
    asked = questions.ask(url, days)
    slowest = max(asked, key=lambda each: each.warm)
    shares = ", ".join(
        f"{each.number}: {each.warm / each.raw:.2%} of {each.raw:.1f} s"
        if each.number in questions.BY_ROLLUPS
        else f"{each.number} (no bar): {1000 * each.warm:.0f} ms and {1000 * each.raw:.0f} ms"
        for each in asked
        if each.raw
    )
    told = ", ".join(f"{each.number}: {1000 * each.first:.0f} / {1000 * each.warm:.0f}" for each in asked)
    return (
        f"the slowest is {slowest.number} with {slowest.warm:.2f} s; by raw observations {shares}; ms {told}",
        "1 s; 5%",
    )


def _midnight(days_ago: int) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)


def retention(engine: sa.Engine, url: str, days: int) -> tuple[str, str]:
    """A day packed and another dropped while others report: how long each takes, and the slowest of their reports."""
    with reporting(engine) as slowest:
        with taking() as packing:
            assert pack_old(engine, url, days) == 1
        during_packing = slowest.told()
        slowest.taken.clear()
        with maintenance._turn(url) as connection, taking() as dropping:
            assert connection is not None
            assert len(drop_expired(connection, PACKED, datetime.now(UTC) - timedelta(days=days - 1))) == 1
    return f"{dropping():.2f} s; {slowest.told()}; to pack one: {packing():.1f} s; {during_packing}", "1 s"


@dataclass
class Slowest:
    """Reports, and how long the slowest of them took, in seconds."""

    before: float = 0.0
    taken: list[float] = field(default_factory=list)

    def told(self) -> str:
        return (
            f"the slowest report took {1000 * max(self.taken):.0f} ms meanwhile,"
            f" {1000 * self.before:.0f} ms in the two seconds before"
        )


@contextmanager
def reporting(engine: sa.Engine) -> Iterator[Slowest]:
    """Four report without a pause from two seconds before to half a second after."""
    slowest, stop = Slowest(), threading.Event()
    addresses = add_connectors(engine)[:4]
    threads = [threading.Thread(target=_report_until, args=(engine, each, stop, slowest.taken)) for each in addresses]
    for thread in threads:
        thread.start()
    time.sleep(2)
    slowest.before = max(slowest.taken)
    slowest.taken.clear()
    yield slowest
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()


def recording(engine: sa.Engine, rounds: int = 40) -> tuple[str, str]:
    """Batches of a hundred reports of which each is observed, and such of which none is, in turn."""
    addresses = add_connectors(engine)[:100]
    taken: dict[timedelta, list[float]] = {timedelta(0): [], timedelta(days=1): []}
    version = 1
    for _ in range(rounds):
        for keep_every, found in taken.items():
            with taking() as seconds:
                report(engine, addresses, version, keep_every)
            found.append(seconds())
            version += 1
    with_history, without = (statistics.median(found) for found in taken.values())
    share = (with_history - without) / with_history
    told = f"{10 * with_history:.2f} ms with its observation, {10 * without:.2f} without"
    return f"{share:.0%} of a report that is observed ({told}), {share / 10:.0%} where one in ten is", "25%"


def _report_until(engine: sa.Engine, address: Address, stop: threading.Event, taken: list[float]) -> None:
    with engine.connect() as connection:
        version = connection.scalars(sa.text("SELECT version FROM connector WHERE id = :id"), {"id": address.id}).one()
    while not stop.is_set():
        with taking() as seconds:
            report(engine, [address], version, timedelta(0))
        taken.append(seconds())
        version += 1


def _say(what: str, measured: str, bar: str) -> None:
    print(f"{what:10} {measured}{f'  (bar: {bar})' if bar else ''}", flush=True)


if __name__ == "__main__":
    main()
