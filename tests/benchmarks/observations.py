"""Generated history: a thousand connectors, observed for days up to yesterday, with their tokens and transitions."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import sqlalchemy as sa

from app.domain.connector import Report, StreamPosition
from app.domain.names import Address
from app.domain.position import Position
from app.services import maintenance
from app.services.report import Addressed, record
from app.store.engine import transact
from app.store.packing import pack
from app.store.partitions import HOURS, OBSERVATIONS, TOKENS, make_partition
from tests.tenants import add_tenant

CONNECTORS = 1000
PER_DAY = 334  # observations of a connector: ten million in thirty days
KEEP_EVERY = timedelta(seconds=300)
TENANT = "default"
SQL = Path(__file__).with_name("sql")


def add_connectors(engine: sa.Engine) -> list[Address]:
    """Makes the connectors, by a report each."""
    with engine.begin() as connection:
        tenant = add_tenant(connection, TENANT)
    addresses = [Address(tenant, f"p{n % 10}", "orders", f"c{n}") for n in range(CONNECTORS)]
    for start in range(0, CONNECTORS, 100):
        report(engine, addresses[start : start + 100], 0, KEEP_EVERY)
    return addresses


def report(engine: sa.Engine, addresses: list[Address], version: int, keep_every: timedelta) -> None:
    """A report to each; its connector must be at that version."""
    position = StreamPosition(epoch="run-1", received=Position.parse(version), completed=Position.parse(version))
    items = [Addressed(each, Report(if_match=version, position=position, interval_seconds=60)) for each in addresses]
    transact(engine, lambda c: record(c, items, keep_every=keep_every))


def fill(engine: sa.Engine, url: str, days: int) -> None:
    """So many days of observations up to yesterday, through the real partitions with COPY."""
    script = (SQL / "make_observations.sql").read_text()
    for number, day in enumerate(_days(days)):
        with engine.begin() as connection:
            for table in (OBSERVATIONS, HOURS, TOKENS):
                period, made = table.period(day), f"{table.table}_{table.period(day).name}"
                if not connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": made}):
                    make_partition(connection, table, period, in_use=False)
        _copy(url, script.format(**_values(days, number, day)))
    _run(engine, "VACUUM (ANALYZE) observation")


def pack_old(engine: sa.Engine, url: str, days: int, *, but: int = 0) -> int:
    """Packs those days of them that maintenance would have packed, but so many; answers how many it has packed."""
    now = datetime.now(UTC)
    with maintenance._turn(url) as connection:
        assert connection is not None
        packed = pack(connection, now - timedelta(days=days), now - maintenance._PACKED_AFTER - timedelta(days=but))
    _run(engine, "VACUUM (ANALYZE) packed_observation")
    return len(packed)


def add_happenings(engine: sa.Engine, days: int) -> None:
    """Tokens and transitions of all days, and the connectors' present as it follows from them."""
    for name in ("make_tokens", "make_events"):
        script = (SQL / f"{name}.sql").read_text()
        for number, day in enumerate(_days(days)):
            _run(engine, script.format(**_values(days, number, day)))
    _run(engine, (SQL / "make_present.sql").read_text().format(**_values(days, days - 1, _days(days)[-1])))
    _run(engine, "VACUUM (ANALYZE) completion_token, connector, connector_epoch, connector_event")


def roll_up_all(engine: sa.Engine, days: int) -> None:
    """All hours and days anew, by the function that maintenance uses, but a day of either at a time."""
    _run(engine, "TRUNCATE connector_hourly, connector_daily")
    with maintenance._turn(engine.url.render_as_string(hide_password=False)) as connection:
        assert connection is not None
        for day in _days(days):
            for table, step in (("connector_hourly", "1 hour"), ("connector_daily", "1 day")):
                rolled_up = f"INSERT INTO {table} SELECT * FROM connector_rollup(:since, :until, :step, :every, NULL)"
                since = datetime(day.year, day.month, day.day, tzinfo=UTC)
                span = {"since": since, "until": since + timedelta(days=1), "step": step, "every": KEEP_EVERY}
                with connection.begin():
                    connection.execute(sa.text(rolled_up), span)
    _run(engine, "VACUUM (ANALYZE) connector_hourly, connector_daily")


def _days(days: int) -> list[date]:
    """The last of them is yesterday."""
    today = datetime.now(UTC).date()
    return [today - timedelta(days=days - number) for number in range(days)]


def _values(days: int, number: int, day: date) -> dict[str, object]:
    """What the scripts name: the connectors that restart do so after noon of the last day, when a token waits."""
    restarted = (days - 1) * PER_DAY + PER_DAY // 2 + 1
    return {"day": f"{day} 00:00Z", "day_number": number, "per_day": PER_DAY, "restarted": restarted}


def _run(engine: sa.Engine, sql: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql(sql.replace("%", "%%"))


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
