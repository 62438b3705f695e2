"""Packed observations tell what they told before, are packed without anybody noticing, and expire like others."""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app.services import maintenance
from app.store import packing, retention, schema
from app.store.engine import make_engine
from app.store.models import Observation
from app.store.packing import OF_A_ROW
from app.store.partitions import PACKED
from tests import reporting_example
from tests.reporting_example import KEEP_EVERY, MONDAY, SUNDAY
from tests.serving import until
from tests.store.packed import make_days, pack_days
from tests.store.rollup_model import Moment, observation
from tests.store.test_partitions import partitions

DAY = timedelta(days=1)
AT = datetime(2025, 5, 5, 12, tzinfo=UTC)
NOON = AT.date()
WEEK = [MONDAY.date() + timedelta(days=n) for n in range(7)]


def observe(engine: sa.Engine, connector: UUID, *times: datetime, version: int = 1) -> None:
    moments = [Moment(at=at, version=version + n, total_records=n) for n, at in enumerate(times)]
    with engine.begin() as connection:
        connection.execute(sa.insert(Observation), [observation(connector, moment) for moment in moments])


def read(engine: sa.Engine, query: str, **parameters: Any) -> list[Any]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query), parameters)]


def observed(engine: sa.Engine) -> list[Any]:
    """All observations, packed or not, as the readers have them."""
    columns = ", ".join(column.name for column in Observation.__table__.columns)
    return read(engine, f"SELECT {columns} FROM observed ORDER BY connector_id, version")


def rows(engine: sa.Engine) -> int:
    """Of packed observations."""
    ((number,),) = read(engine, "SELECT count(*) FROM packed_observation")
    return int(number)


@pytest.fixture
def day(clone_engine: sa.Engine) -> date:
    """A day that is over, with a partition."""
    make_days(clone_engine, NOON)
    return NOON


def pack_it(url: str) -> Sequence[date]:
    return pack_days(url, AT, AT + DAY)


def everything(engine: sa.Engine) -> Iterator[Any]:
    """All that analysts and charts are told of the example's week by its observations."""
    yield read(engine, "SELECT * FROM reporting.connector_history ORDER BY connector_id, version")
    yield read(engine, "SELECT * FROM reporting.token ORDER BY connector_id, token_id")
    rolled_up = "SELECT to_jsonb(r) - 'computed_at' FROM connector_rollup(:since, :until, :step, :every, NULL) AS r"
    for step in (timedelta(minutes=15), timedelta(hours=1), DAY):
        span = {"since": MONDAY, "until": SUNDAY, "step": step, "every": KEEP_EVERY}
        yield read(engine, f"{rolled_up} ORDER BY connector_id, starts_at", **span)


def test_packing_changes_no_answer(clone: str, clone_engine: sa.Engine) -> None:
    make_days(clone_engine, *WEEK)
    reporting_example.fill(clone_engine)
    before = list(everything(clone_engine))
    assert all(before), "there is something of each"
    assert pack_days(clone, MONDAY, MONDAY + 4 * DAY) == WEEK[:4]
    assert list(everything(clone_engine)) == before, "some days"
    assert pack_days(clone, MONDAY, SUNDAY) == WEEK[4:]
    assert list(everything(clone_engine)) == before, "all days"
    assert pack_days(clone, MONDAY, SUNDAY) == []


EXTREMES: list[dict[str, Any]] = [
    {"received": {"a": 2**63 - 1}, "completed": None, "lag_records": Decimal(2**70), "lag_seconds": 0.1 + 0.2},
    {"received": 0, "completed": 0, "lag_records": None, "lag_seconds": None, "interval_seconds": 1e-9},
    {"received": None, "fatal_error": '{NULL,"\\', "health_status": "", "progress": "NULL"},
    {"received": {}, "fatal_error": "", "end_of_input": True, "paused": True, "barrier": True},
    {"processing_latency_p99_micros": 2**63 - 1, "total_bytes": 2**63 - 1, "completed_version": 7},
]


@pytest.mark.usefixtures("day")
def test_every_value_comes_back_as_it_was(clone: str, clone_engine: sa.Engine) -> None:
    connector = uuid4()
    of_each = [
        observation(connector, Moment(at=AT + timedelta(microseconds=n), version=n + 1)) | special
        for n, special in enumerate(EXTREMES)
    ]
    with clone_engine.begin() as connection:
        for row in of_each:
            connection.execute(sa.insert(Observation).values(row))
    before = observed(clone_engine)
    assert pack_it(clone)
    assert (rows(clone_engine), observed(clone_engine)) == (1, before)
    assert read(clone_engine, "SELECT version FROM packed_observation") == [([1, 2, 3, 4, 5],)]


def test_a_row_holds_so_many_and_knows_what_is_newest_in_it(clone: str, clone_engine: sa.Engine, day: date) -> None:
    busy, quiet = uuid4(), uuid4()
    observe(clone_engine, busy, *(AT + timedelta(seconds=n) for n in range(2 * OF_A_ROW + 1)))
    observe(clone_engine, quiet, AT)
    with clone_engine.begin() as connection:
        connection.execute(sa.update(Observation).values(completed_version=Observation.version - 1))
    before = observed(clone_engine)
    assert pack_it(clone) == [day]
    newest = "SELECT number, cardinality(version), last_at, last_completed_version FROM packed_observation"
    last = [OF_A_ROW, 2 * OF_A_ROW, 2 * OF_A_ROW + 1]
    assert read(clone_engine, f"{newest} WHERE connector_id = :busy ORDER BY number", busy=busy) == [
        (n, size, AT + timedelta(seconds=last[n] - 1), last[n] - 1) for n, size in enumerate([OF_A_ROW, OF_A_ROW, 1])
    ]
    assert observed(clone_engine) == before


def test_analyze_does_not_look_through_what_is_packed(clone: str, clone_engine: sa.Engine, day: date) -> None:
    """Of all its arrays it looks at one."""
    assert pack_it(clone) == [day]
    for table in ("packed_observation", f"packed_observation_{day:%Y%m%d}"):
        arrays = "attrelid = CAST(:table AS regclass) AND CAST(CAST(atttypid AS regtype) AS text) LIKE '%[]'"
        looked_at = f"SELECT attname FROM pg_attribute WHERE {arrays} AND attstattarget IS DISTINCT FROM 0"
        assert read(clone_engine, looked_at, table=table) == [("version",)]


def test_in_many_transactions_nobody_is_left_out(
    clone: str, clone_engine: sa.Engine, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_OF_A_TRANSACTION", 5)
    for number in range(1, 10):
        observe(clone_engine, uuid4(), *(AT + timedelta(seconds=n) for n in range(number)))
    before = observed(clone_engine)
    assert pack_it(clone) == [day]
    assert (rows(clone_engine), observed(clone_engine)) == (9, before)


def test_a_day_on_which_nothing_was_observed_is_packed_too(clone: str, clone_engine: sa.Engine, day: date) -> None:
    assert pack_it(clone) == [day]
    assert partitions(clone_engine, "observation") == ["observation_default"]
    assert pack_it(clone) == []


def test_only_days_of_the_span_are_packed(clone: str, clone_engine: sa.Engine) -> None:
    days = [NOON + n * DAY for n in range(-1, 3)]
    make_days(clone_engine, *days)
    assert pack_days(clone, AT, AT + 2 * DAY) == days[1:3]
    assert partitions(clone_engine, "observation")[:2] == [f"observation_{days[n]:%Y%m%d}" for n in (0, 3)]


def test_readers_never_miss_an_observation_nor_see_one_twice(clone: str, clone_engine: sa.Engine) -> None:
    days = [NOON + n * DAY for n in range(6)]
    make_days(clone_engine, *days)
    observe(clone_engine, uuid4(), *(AT + n * timedelta(hours=1) for n in range(24 * 5)))
    seen: list[int] = []
    stop = threading.Event()

    def count() -> None:
        with clone_engine.connect() as connection:
            while not stop.is_set():
                with connection.begin():
                    seen.append(connection.scalars(sa.text("SELECT count(*) FROM observed")).one())
                time.sleep(0.005)  # or hardly a moment is left when nobody reads

    readers = [threading.Thread(target=count) for _ in range(2)]
    for reader in readers:
        reader.start()
    until(lambda: len(seen) > 10)
    packed: list[date] = []
    while len(packed) < len(days):  # one that is always in use is left to the next run
        packed += pack_days(clone, AT, AT + 6 * DAY)
    stop.set()
    for reader in readers:
        reader.join()
    assert packed == days
    assert set(seen) == {24 * 5}


def test_an_observation_that_comes_meanwhile_is_not_lost(
    clone: str, clone_engine: sa.Engine, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day is left to the next run."""
    connector = uuid4()
    observe(clone_engine, connector, AT)
    attach = packing._attach

    def late(*arguments: Any) -> bool:
        monkeypatch.undo()
        observe(clone_engine, connector, AT + timedelta(seconds=1), version=2)
        return attach(*arguments)

    monkeypatch.setattr(packing, "_attach", late)
    assert pack_it(clone) == []
    assert (rows(clone_engine), len(observed(clone_engine))) == (0, 2)
    assert pack_it(clone) == [day]
    assert (rows(clone_engine), len(observed(clone_engine))) == (1, 2)


def test_nobody_can_write_into_a_day_that_is_put_in_its_place(
    clone: str, clone_engine: sa.Engine, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes between the last look and the end would be lost."""
    attach = packing._attach
    refused: list[str | None] = []

    def late(*arguments: Any) -> bool:
        done = attach(*arguments)
        with clone_engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
            with pytest.raises(OperationalError) as error:
                connection.execute(sa.insert(Observation).values(observation(uuid4(), Moment(at=AT, version=1))))
        refused.append(getattr(error.value.orig, "sqlstate", None))
        return done

    monkeypatch.setattr(packing, "_attach", late)
    assert pack_it(clone) == [day]
    assert set(refused) == {"55P03"}


def test_one_that_comes_later_is_with_the_others_all_the_same(clone: str, clone_engine: sa.Engine, day: date) -> None:
    connector = uuid4()
    observe(clone_engine, connector, AT)
    assert pack_it(clone) == [day]
    observe(clone_engine, connector, AT + timedelta(seconds=1), version=2)
    assert [row[1] for row in observed(clone_engine)] == [AT, AT + timedelta(seconds=1)]
    assert pack_it(clone) == []


def test_a_day_in_use_is_left_to_the_next_run(
    clone: str, clone_engine: sa.Engine, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe(clone_engine, uuid4(), AT)
    monkeypatch.setattr(retention, "_TRIES", 2)
    with clone_engine.connect() as reader:
        reader.execute(sa.text(f"SELECT count(*) FROM observation_{day:%Y%m%d}"))
        assert pack_it(clone) == []
        assert (rows(clone_engine), len(observed(clone_engine))) == (0, 1)
    assert pack_it(clone) == [day], "what the first has left over is in nobody's way"
    assert (rows(clone_engine), len(observed(clone_engine))) == (1, 1)


@pytest.mark.parametrize("dies_in", ["packing", "_attach", "_drop"])
def test_what_a_crash_left_undone_is_made_good(
    clone: str, clone_engine: sa.Engine, day: date, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    observe(clone_engine, uuid4(), AT)
    before = observed(clone_engine)

    does = getattr(packing, dies_in)

    def die(*arguments: Any) -> Any:
        if dies_in == "_drop" and arguments[1].startswith("packed"):
            return does(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(packing, dies_in, die)
    with pytest.raises(KeyboardInterrupt):
        pack_it(clone)
    assert observed(clone_engine) == before
    monkeypatch.undo()
    until(lambda: packs(clone))  # the server takes a moment to notice that a connection is gone
    assert (rows(clone_engine), observed(clone_engine)) == (1, before)
    assert read(clone_engine, f"SELECT to_regclass('observation_{day:%Y%m%d}')") == [(None,)]


def packs(url: str) -> bool:
    """Whether it is its turn."""
    with maintenance._turn(url) as connection:
        if connection is not None:
            packing.pack(connection, AT, AT + DAY)
        return connection is not None


def test_what_is_not_asked_for_is_not_unpacked(clone: str, clone_engine: sa.Engine) -> None:
    """By an hour's rollup, only its own day and the one before; by the present one, none."""
    days = [NOON + n * DAY for n in range(5)]
    make_days(clone_engine, *days)
    engine = make_engine(clone)
    reporting_example.fill(engine)
    engine.dispose()
    ((connector,),) = read(clone_engine, "SELECT min(id::text)::uuid FROM connector")
    observe(clone_engine, connector, *(AT + n * timedelta(hours=6) for n in range(16)), version=2000)
    assert pack_days(clone, AT, AT + 5 * DAY) == days
    rollup = "SELECT count(*) FROM connector_rollup(:since, :since + interval '1 h', '1 h', '10 s', NULL)"
    hour = AT + 2 * DAY
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert looked_at(clone_engine, rollup, since=hour) == {f"packed_observation_{day:%Y%m%d}" for day in days[1:3]}
    assert looked_at(clone_engine, rollup, since=now - DAY) == set()
    history = (
        "SELECT count(*) FROM reporting.connector_history WHERE connector_id = :connector AND recorded_at > :since"
    )
    since = {"connector": connector, "since": AT + 3 * DAY}
    of_days = f"{history} AND day >= :day"
    last = {f"packed_observation_{day:%Y%m%d}" for day in days[3:]}
    assert looked_at(clone_engine, of_days, **since, day=days[3]) == last
    assert looked_at(clone_engine, history, **since) == {f"packed_observation_{day:%Y%m%d}" for day in days}


def looked_at(engine: sa.Engine, query: str, **parameters: Any) -> set[str]:
    """The partitions of packed observations that it unpacks any of."""
    engine.dispose()  # or what was read before would be counted, too
    with engine.begin() as connection:
        connection.execute(sa.text(query), parameters)
        fetched = "SELECT relname FROM pg_stat_xact_user_tables WHERE seq_tup_read + idx_tup_fetch > 0"
        return set(connection.scalars(sa.text(f"{fetched} AND relname ^@ 'packed_'")))


def test_what_is_past_its_retention_goes_by_the_day(clone: str, clone_engine: sa.Engine) -> None:
    days = [NOON, NOON + DAY]
    make_days(clone_engine, *days)
    observe(clone_engine, uuid4(), AT, AT + DAY)
    pack_days(clone, AT, AT + 2 * DAY)
    with maintenance._turn(clone) as connection:
        assert connection is not None
        assert retention.drop_expired(connection, PACKED, AT + DAY) == [f"packed_observation_{NOON:%Y%m%d}"]
    assert [row[1] for row in observed(clone_engine)] == [AT + DAY]


def test_a_downgrade_unpacks_them(clone: str, clone_engine: sa.Engine, day: date) -> None:
    observe(clone_engine, uuid4(), *(AT + timedelta(seconds=n) for n in range(OF_A_ROW + 10)))
    before = observed(clone_engine)
    assert pack_it(clone) == [day]
    schema.downgrade(clone, "0015")
    columns = ", ".join(column.name for column in Observation.__table__.columns)
    assert read(clone_engine, f"SELECT {columns} FROM observation ORDER BY connector_id, version") == before
    schema.upgrade(clone)
    assert observed(clone_engine) == before
