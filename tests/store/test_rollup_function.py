"""The function that rolls up, against a plain model; its arithmetic, and what it makes of the edges."""

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.names import Address
from app.store import models
from app.store.engine import make_engine
from app.store.partitions import OBSERVATIONS, make_partition
from tests.store.packed import keep_packed, pack_rows
from tests.store.rollup_model import MINUTE, Moment, observation, rolled_up
from tests.store.test_activity import add_pipeline, stored
from tests.tenants import add_tenant

KEEP_EVERY = timedelta(minutes=1)
START = datetime(2025, 5, 5, tzinfo=UTC)
ROLLUP = sa.text(
    "SELECT * FROM connector_rollup(:since, :until, :step, :keep_every, CAST(:connectors AS uuid[])) ORDER BY starts_at"
)
_MOST = 2**63 - 1

counts = st.one_of(st.integers(0, 20), st.sampled_from([0, _MOST]))
positions: st.SearchStrategy[Any] = st.one_of(
    st.none(), counts, st.dictionaries(st.sampled_from("ab"), counts, min_size=1), st.just({})
)
gaps = st.one_of(st.integers(0, 5), st.integers(0, 300), st.integers(0, 4 * 1440))


@st.composite
def lives(draw: st.DrawFn) -> list[Moment]:
    """A connector's life, from its first report on, or from where its observations are still kept."""
    at, version, epoch = START, draw(st.sampled_from([0, 0, 6])), 0
    life: list[Moment] = []
    for _ in range(draw(st.integers(1, 12))):
        at += draw(gaps) * MINUTE
        removable = life and not life[-1].removed
        if removable and draw(st.integers(0, 7)) == 0:
            life.append(Moment(at=at, version=version, removed=True))
            continue
        version += draw(st.integers(1, 4))
        if not life and version < 5:
            version = 1
        epoch += draw(st.sampled_from([0, 0, 0, 1])) + (not epoch and draw(st.booleans()))
        life.append(draw(moments(at, version, epoch)))
    return life


@st.composite
def moments(draw: st.DrawFn, at: datetime, version: int, epoch: int) -> Moment:
    received = draw(positions) if epoch else None
    return Moment(
        at=at,
        version=version,
        epoch_number=epoch,
        received=received,
        completed=None if received is None else draw(positions),
        total_records=draw(counts),
        num_parse_errors=draw(counts),
        lag_records=draw(st.none() | st.integers(0, 2**64)),
        lag_seconds=draw(st.none() | st.integers(0, 1000)),
        lifecycle=draw(st.sampled_from(["running", "paused", "finished", "failed"])),
        progress=draw(st.sampled_from([None, "idle", "moving", "stalled", "rewound"])),
        health_status=draw(st.sampled_from([None, "Healthy", "Unhealthy"])),
        interval_seconds=draw(st.sampled_from([None, 60.0, 1200.0, 86400.0])),
    )


@pytest.fixture(scope="module")
def connection(module_clone: str) -> Iterator[sa.Connection]:
    """Rolled back; the tests tell their connectors apart."""
    engine = make_engine(module_clone)
    with engine.connect() as connection:
        keep_packed(connection)
        yield connection
    engine.dispose()


@pytest.fixture(scope="module")
def tenant(connection: sa.Connection) -> uuid.UUID:
    tenant = add_tenant(connection, uuid.uuid4().hex)
    add_pipeline(connection, tenant)
    return tenant


def add_connector(connection: sa.Connection, tenant: uuid.UUID) -> uuid.UUID:
    """A connector without a history."""
    number = uuid.uuid4().int
    state = (False, False, False, False, None, "promised nothing", "idle")
    connection.execute(sa.insert(models.Connector), stored(tenant, number, datetime.now(UTC), state))
    return Address(tenant, "demo", "orders", f"{number:05}").id


def live(connection: sa.Connection, connector: uuid.UUID, life: list[Moment]) -> None:
    """Records a life."""
    observed = [observation(connector, moment) for moment in life if not moment.removed]
    connection.execute(sa.insert(models.Observation), observed)
    for moment in life:
        if moment.removed:
            removal = {"version": moment.version, "kind": "removed", "at": moment.at, "details": {}}
            connection.execute(sa.insert(models.ConnectorEvent).values(connector_id=connector, **removal))


def told(
    connection: sa.Connection, connector: uuid.UUID, since: datetime, until: datetime, step: timedelta
) -> dict[datetime, Any]:
    parameters = {"since": since, "until": until, "step": step, "keep_every": KEEP_EVERY, "connectors": [connector]}
    rows = connection.execute(ROLLUP, parameters).mappings().all()
    found = {row["starts_at"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def same(told: dict[datetime, Any], expected: dict[datetime, dict[str, Any]]) -> None:
    assert list(told) == list(expected)
    for start, row in expected.items():
        for name, value in row.items():
            wanted = pytest.approx(value) if isinstance(value, float) else value
            assert told[start][name] == wanted, (start, name)


@settings(max_examples=200)
@given(
    life=lives(),
    packed_days=st.sampled_from([0, 1, 2, 3, 4, 5, 40]),
    hours_in=st.integers(-3, 120),
    step=st.sampled_from([60, 60, 15, 1440]),
    steps=st.integers(1, 8),
)
def test_it_says_what_the_model_says_of_every_life(
    connection: sa.Connection,
    tenant: uuid.UUID,
    life: list[Moment],
    packed_days: int,
    hours_in: int,
    step: int,
    steps: int,
) -> None:
    """However much of it is packed."""
    connector = add_connector(connection, tenant)
    live(connection, connector, life)
    pack_rows(connection, connector, START.date() + timedelta(days=packed_days))
    length = timedelta(minutes=step)
    since = START + timedelta(days=hours_in // 24) if step == 1440 else START + timedelta(hours=hours_in)
    span = since, since + steps * length, length
    now = datetime.now(UTC)
    same(told(connection, connector, *span), rolled_up(life, *span, KEEP_EVERY, now))


@settings(max_examples=30)
@given(life=lives())
def test_the_hours_add_up_to_the_days(connection: sa.Connection, tenant: uuid.UUID, life: list[Moment]) -> None:
    connector = add_connector(connection, tenant)
    live(connection, connector, life)
    days = (START - timedelta(days=1), START + timedelta(days=40))
    by_day = told(connection, connector, *days, timedelta(days=1))
    by_hour = told(connection, connector, *days, timedelta(hours=1))
    for name in ("observations", "reports", "received_delta", "completed_delta", "records_delta", "failures", "epochs"):
        sums = [sum(row[name] or 0 for row in rows.values()) for rows in (by_day, by_hour)]
        assert sums[0] == sums[1], name


@pytest.mark.parametrize("packed_days", range(4))
def test_the_newest_one_before_is_found_on_whatever_day(
    connection: sa.Connection, tenant: uuid.UUID, packed_days: int
) -> None:
    """Also on that which began a day before, in the hours that are before it."""
    connector = add_connector(connection, tenant)
    times = (timedelta(hours=1), timedelta(hours=26), timedelta(hours=27), timedelta(hours=58))
    live(
        connection, connector, [Moment(at=START + at, version=n + 1, total_records=10**n) for n, at in enumerate(times)]
    )
    pack_rows(connection, connector, START.date() + timedelta(days=packed_days))
    hour = START + times[-1]
    (row,) = told(connection, connector, hour, hour + timedelta(hours=1), timedelta(hours=1)).values()
    assert row["records_delta"] == 1000 - 100


def test_what_has_not_happened_yet_is_not_counted(connection: sa.Connection, tenant: uuid.UUID) -> None:
    connector = add_connector(connection, tenant)
    now = connection.scalars(sa.select(sa.func.now())).one()
    live(connection, connector, [Moment(at=now - timedelta(seconds=90), version=1)])
    minute = now.replace(second=0, microsecond=0)
    rows = told(connection, connector, minute - timedelta(minutes=10), minute + timedelta(minutes=10), MINUTE)
    assert sum(row["running_seconds"] for row in rows.values()) == pytest.approx(90)
    assert sum(row["unknown_seconds"] for row in rows.values()) == 0


def test_only_partitions_of_the_span_and_of_the_day_before_are_read(clone_engine: sa.Engine) -> None:
    """By their keys, for a thousand connectors as for one; what is older only if it has to be compared with."""
    with clone_engine.begin() as connection:
        for day in range(1, 8):
            make_partition(connection, OBSERVATIONS, OBSERVATIONS.period(date(2025, 5, day)), in_use=False)
        tenant = add_tenant(connection, "default")
        add_pipeline(connection, tenant)
        connector = add_connector(connection, tenant)
        live(connection, connector, [Moment(at=START + n * timedelta(hours=6), version=n + 17) for n in range(-16, 8)])
    clone_engine.dispose()  # or what was read before would be counted, too
    with clone_engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))  # which is cheaper for a table of one page
        hour = START + timedelta(hours=30)
        assert told(connection, connector, hour, hour + timedelta(hours=1), MINUTE)
        reads = "SELECT relname FROM pg_stat_xact_user_tables WHERE relname ^@ 'observation' AND"
        assert connection.scalars(sa.text(f"{reads} seq_scan > 0")).all() == []
        found = set(connection.scalars(sa.text(f"{reads} idx_scan > 0")))
    assert found - {"observation_default"} == {"observation_20250505", "observation_20250506"}
