"""The view of connectors' activity, against the rules that it repeats in SQL; and what its columns are filled with."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.domain.connector import Report
from app.domain.frontier import lag
from app.domain.names import Address, pipeline_id, tenant_id
from app.domain.position import Position
from app.domain.status import stale_for
from app.services.report import remove_connector
from app.store import models, schema
from app.store.engine import make_engine, transact
from tests.services.reporting import report, send
from tests.tenants import add_tenant

VIEW = sa.text("SELECT * FROM connector_activity WHERE tenant_id = :tenant ORDER BY connector_name")
AGE = timedelta(seconds=60)

INTERVALS: dict[str, float | None] = {"silent": 10.0, "in time": 20.0, "promised nothing": None}
POSITIONS: dict[str, dict[str, Any]] = {
    "none": {"received": None, "completed": None, "frontier": [], "progress": None},
    "completed unknown": {"received": 5, "completed": None, "frontier": True, "progress": None},
    "not judged": {"received": 5, "completed": 3, "frontier": True, "progress": None},
    "forgotten by an older release": {"received": 5, "completed": None, "frontier": True, "progress": "idle", "lag": 2},
    "idle": {"received": 5, "completed": 5, "frontier": [], "progress": "idle"},
    **{
        progress: {"received": 5, "completed": 3, "frontier": True, "progress": progress}
        for progress in ("moving", "stalled", "rewound")
    },
}
AXES: tuple[tuple[Any, ...], ...] = (
    *((False, True),) * 4,  # removed, failed, finished, paused
    (None, "Healthy", "Unhealthy"),
    tuple(INTERVALS),
    tuple(POSITIONS),
)


@pytest.fixture
def address(engine: sa.Engine) -> Address:
    with engine.begin() as connection:
        return Address(add_tenant(connection, uuid.uuid4().hex), "demo", "orders", "billing")


def stored(tenant: uuid.UUID, number: int, now: datetime, state: tuple[Any, ...]) -> dict[str, Any]:
    """A connector's row in this state, last reported `AGE` ago, whose input has waited for twice as long."""
    removed, failed, finished, paused, health, interval, position = state
    place = dict(POSITIONS["none" if removed else position])
    lag_records = place.pop("lag", None if place["completed"] is None else 5 - place["completed"])
    name = f"{number:05}"
    address = Address(tenant, "demo", "orders", name)
    zeros = dict.fromkeys(("total_bytes", "total_records", "buffered_records", "buffered_bytes"), 0)
    return zeros | {
        "id": address.id,
        "tenant_id": tenant,
        "pipeline_id": address.pipeline_id,
        "table_name": "orders",
        "connector_name": name,
        "removed_at": now if removed else None,
        "version": 7,
        "recorded_at": now - AGE,
        "recording": "sampled",
        "interval_seconds": INTERVALS[interval],
        "last_epoch": 1,
        "epoch_number": 0 if place["received"] is None else 1,
        "position_version": 7,
        "completed_version": 5,
        **place,
        "frontier": [[6, (now - 2 * AGE).isoformat(), 5]] if place["frontier"] else [],
        "lag_records": lag_records,
        "num_transport_errors": 2,
        "num_parse_errors": 1,
        "end_of_input": finished,
        "fatal_error": "gone" if failed else None,
        "health_status": health,
        "health_description": health and "so it says",
        "paused": paused,
        "barrier": False,
    }


def expected(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What the view is to say of it, by the rules of the domain."""
    removed = row["removed_at"] is not None
    age = None if removed else stale_for(row["recorded_at"], row["interval_seconds"], now)
    states = (removed, row["fatal_error"] is not None, row["end_of_input"], row["paused"], True)
    lifecycle = ("removed", "failed", "finished", "paused", "running")[states.index(True)]
    known = age is None and not removed and row["completed"] is not None
    progress = row["progress"] if known and row["progress"] else "unknown"
    health = (None, None) if removed else (row["health_status"], row["health_description"])
    if age is not None:
        health = ("Unhealthy", f"no report for {age:.0f} s")
    waiting_since = datetime.fromisoformat(row["frontier"][0][1]) if row["frontier"] else None
    positions = [None if row[name] is None else Position.parse(row[name]) for name in ("received", "completed")]
    behind = lag(*positions, waiting_since=waiting_since, as_of=now)
    bad = (lifecycle == "failed", health[0] == "Unhealthy", progress == "stalled", progress == "rewound")
    return {
        "lifecycle": lifecycle,
        "progress": progress,
        "health_status": health[0],
        "health_description": health[1],
        "rank": (*bad, progress == "unknown" and not removed, True).index(True),
        "lag_records": behind.records,
        "lag_seconds": behind.seconds,
        "report_age_seconds": AGE.total_seconds(),
        "not_reporting_since": None if age is None else row["recorded_at"],
    }


def add_pipeline(connection: sa.Connection, tenant: uuid.UUID) -> None:
    connection.execute(
        sa.insert(models.Pipeline), {"id": pipeline_id(tenant, "demo"), "tenant_id": tenant, "name": "demo"}
    )


def test_the_view_says_what_the_rules_say_of_every_state(engine: sa.Engine, address: Address) -> None:
    with engine.connect() as connection:  # rolled back; within a transaction now() stands still
        now = connection.scalar(sa.select(sa.func.now()))
        assert now is not None
        add_pipeline(connection, address.tenant)
        rows = [stored(address.tenant, n, now, state) for n, state in enumerate(itertools.product(*AXES))]
        connection.execute(sa.insert(models.Connector), rows)
        told = connection.execute(VIEW, {"tenant": address.tenant}).mappings().all()
    assert len(told) == len(rows) > 1000
    for row, each in zip(rows, told, strict=True):
        says = expected(row, now)
        assert {name: each[name] for name in says} == says, row
        assert (each["pipeline"], each["pipeline_status"], each["endpoint_name"]) == (
            "demo",
            "Running",
            f"orders.{row['connector_name']}",
        )
        for name in ("fatal_error", "num_parse_errors", "num_transport_errors", "version", "recorded_at", "removed_at"):
            assert each[name] == row[name]


def activity(engine: sa.Engine, address: Address) -> Any:
    with engine.connect() as connection:
        return connection.execute(VIEW, {"tenant": address.tenant}).one()


def test_reports_and_removals_fill_the_columns(engine: sa.Engine, address: Address) -> None:
    most = 2**63 - 1
    report(engine, address, 0, received={"a": most, "b": most}, completed={"a": 0, "b": 0}, epoch="a")
    row = activity(engine, address)
    assert (row.progress, row.unmoved, row.lag_records) == ("moving", 0, 2 * most)
    for version in (1, 2, 3):
        report(engine, address, version, received={"a": most, "b": most}, completed={"a": 0, "b": 0}, epoch="a")
    send(engine, address, Report(if_match=4))
    row = activity(engine, address)
    assert (row.progress, row.unmoved, row.lag_records) == ("stalled", 3, 2 * most)
    report(engine, address, 5, received=4, completed=4, epoch="b")
    row = activity(engine, address)
    assert (row.progress, row.unmoved, row.lag_records, row.lag_seconds) == ("idle", 0, 0, 0)
    report(engine, address, 6, received=4, completed=3, epoch="b")
    assert activity(engine, address).progress == "rewound"
    report(engine, address, 7, received=4, completed=None, epoch="b")
    row = activity(engine, address)
    assert (row.progress, row.unmoved, row.lag_records) == ("unknown", 0, None)
    transact(engine, lambda c: remove_connector(c, address))
    row = activity(engine, address)
    assert (row.lifecycle, row.progress, row.lag_records, row.lag_seconds) == ("removed", "unknown", None, None)


def test_a_restored_connector_starts_anew(engine: sa.Engine, address: Address) -> None:
    for version in range(4):
        report(engine, address, version, received=5, completed=3)
    transact(engine, lambda c: remove_connector(c, address))
    c = models.Connector
    with engine.connect() as connection:
        kept = connection.execute(sa.select(c.progress, c.unmoved, c.lag_records).where(c.id == address.id)).one()
    assert kept == (None, 0, None)
    send(engine, address, Report(if_match=0))
    row = activity(engine, address)
    assert (row.lifecycle, row.progress, row.unmoved, row.lag_records) == ("running", "unknown", 0, None)
    report(engine, address, 5, received=5, completed=3)
    row = activity(engine, address)
    assert (row.progress, row.unmoved, row.lag_records) == ("moving", 0, 2)


def test_a_release_that_knows_nothing_of_progress_goes_on_writing(empty_database: str) -> None:
    """As while it is rolled out; what was recorded before is not known until the next report."""
    engine = make_engine(empty_database)
    schema.upgrade(empty_database, "0004")
    with engine.begin() as connection:
        tenant = tenant_id("default")  # which has always been there
        add_pipeline(connection, tenant)
        connection.execute(sa.insert(models.Connector), before_progress(tenant, 1))
    schema.upgrade(empty_database)
    with engine.begin() as connection:
        connection.execute(sa.insert(models.Connector), before_progress(tenant, 2))
        connection.execute(sa.update(models.Connector).values(version=8, completed=4))
        told = connection.execute(VIEW, {"tenant": tenant}).all()
    assert [(row.progress, row.unmoved, row.lag_records) for row in told] == [("unknown", 0, None)] * 2
    assert report(engine, Address(tenant, "demo", "orders", "00001"), 8, received=5, completed=3, epoch=None) == 9
    with engine.connect() as connection:
        told = connection.execute(VIEW, {"tenant": tenant}).all()
    assert [(row.progress, row.lag_records) for row in told] == [("rewound", 2), ("unknown", None)]
    engine.dispose()


def before_progress(tenant: uuid.UUID, number: int) -> dict[str, Any]:
    """A connector's row as it was written before the columns of progress were there."""
    state = (False, False, False, False, None, "promised nothing", "not judged")
    row = stored(tenant, number, datetime.now(UTC), state)
    return {name: value for name, value in row.items() if name not in ("progress", "lag_records")}
