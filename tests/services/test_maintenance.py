"""Maintenance: what is rolled up when, what is dropped when, and that nobody else is in its way."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError, ProgrammingError

from app.domain.errors import CompletionTokenExpired
from app.domain.names import Address, tenant_id
from app.domain.status import Status
from app.domain.token import TokenId, TokenStatus
from app.services import maintenance
from app.services.maintenance import Maintained, Plan, keep_maintained, maintain, roll_up_recent
from app.store import retention, rollups
from app.store.models import ConnectorDaily, ConnectorHourly, Observation, Rollup
from app.store.partitions import HOURS, OBSERVATIONS, PACKED, TOKENS, Partitioned, ensure_partitions, make_partition
from tests.services.reporting import check_token, issue, report
from tests.serving import until
from tests.store.rollup_model import Moment, observation

ADDRESS = Address(tenant_id("default"), "demo", "orders", "billing")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def plan(clone: str) -> Plan:
    return Plan(
        url=clone,
        history_interval=timedelta(seconds=10),
        observation_retention=timedelta(days=30),
        hourly_retention=timedelta(days=400),
        token_retention=timedelta(days=30),
    )


def midnight(days_ago: int) -> datetime:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days_ago)


def observe(engine: sa.Engine, *times: datetime, version: int = 1, interval_seconds: float | None = 60) -> None:
    """Observations of the connector, one record more each; the first version makes it known."""
    if version == 1:
        report(engine, ADDRESS, 0, received=1, completed=1)
    moments = [
        Moment(at=at, version=version + n, total_records=version + n, interval_seconds=interval_seconds)
        for n, at in enumerate(times)
    ]
    with engine.begin() as connection:
        connection.execute(
            sa.delete(Observation).where(Observation.recorded_at > sa.func.now() - sa.text("interval '1 h'"))
        )
        connection.execute(sa.insert(Observation), [observation(ADDRESS.id, moment) for moment in moments])


def hours(engine: sa.Engine) -> dict[datetime, Any]:
    return _rows(engine, ConnectorHourly)


def days(engine: sa.Engine) -> dict[datetime, Any]:
    return _rows(engine, ConnectorDaily)


def _rows(engine: sa.Engine, table: Any) -> dict[datetime, Any]:
    with engine.connect() as connection:
        found = connection.execute(sa.select(table.__table__).order_by(table.starts_at)).mappings().all()
    return {row["starts_at"]: row for row in found}


def contents(engine: sa.Engine) -> list[Any]:
    """All that was rolled up, but for when."""
    return [
        {name: value for name, value in row.items() if name != "computed_at"}
        for table in (ConnectorHourly, ConnectorDaily, Rollup)
        for row in _all(engine, table)
    ]


def _all(engine: sa.Engine, table: Any) -> Sequence[Any]:
    with engine.connect() as connection:
        return connection.execute(sa.select(table.__table__).order_by(*table.__table__.primary_key)).mappings().all()


def done(maintained: Maintained | None) -> Maintained:
    assert maintained is not None
    return maintained


def attached(engine: sa.Engine, table: str) -> list[str]:
    sql = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:table AS regclass) ORDER BY 1"
    with engine.connect() as connection:
        return list(connection.scalars(sa.text(sql), {"table": table}))


def test_it_catches_up_after_days_off_and_again_changes_nothing(plan: Plan, clone_engine: sa.Engine) -> None:
    first = midnight(5)
    observe(clone_engine, first + HOUR, first + 1.5 * HOUR, first + DAY + HOUR, first + 4 * DAY)
    done(maintain(plan))
    rolled = hours(clone_engine)
    assert {start: row["observations"] for start, row in rolled.items() if row["observations"]}.items() >= {
        first + HOUR: 2,
        first + DAY + HOUR: 1,
        first + 4 * DAY: 1,
    }.items()
    assert {start: row["observations"] for start, row in days(clone_engine).items()} == {
        first: 2,
        first + DAY: 1,
        first + 4 * DAY: 1,
    }, "days on which nothing was seen are gaps"
    before = contents(clone_engine)
    again = done(maintain(plan))
    assert (again.days, again.dropped) == (0, ())
    assert again.hours <= 2, "only what has not ended for long"
    settled = [row for row in before if row.get("grain") or row["starts_at"] < midnight(1)]
    assert [row for row in contents(clone_engine) if row.get("grain") or row["starts_at"] < midnight(1)] == settled


def test_late_rows_are_included(plan: Plan, clone_engine: sa.Engine) -> None:
    at = midnight(3) + HOUR
    observe(clone_engine, at, at + timedelta(minutes=1))
    done(maintain(plan))
    observe(clone_engine, at + timedelta(minutes=30), version=3)
    again = done(maintain(plan))
    assert (again.hours >= 1, again.days) == (True, 2), "the hours that follow are counted anew, too"
    assert hours(clone_engine)[at]["observations"] == days(clone_engine)[midnight(3)]["observations"] == 3
    assert hours(clone_engine)[at]["records_delta"] == 2


def test_what_comes_late_is_compared_with_what_follows_it(
    plan: Plan, clone_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the run that finds it is interrupted; the hour behind and the next day are counted anew."""
    night = midnight(3)
    observe(clone_engine, night - 2 * HOUR, version=1)
    observe(clone_engine, night + 0.5 * HOUR, version=5)
    done(maintain(plan))
    assert (days(clone_engine)[night]["records_delta"], days(clone_engine)[night]["reports"]) == (4, 4)
    observe(clone_engine, night - 0.5 * HOUR, version=2)
    left = iter([True])

    def crash_amidst(connection: sa.Connection, bucket: rollups.Bucket, **options: Any) -> None:
        if bucket.starts_at < midnight(2) and not next(left, False):
            raise KeyboardInterrupt
        rollups.roll_up(connection, bucket, **options)

    monkeypatch.setattr(maintenance, "roll_up", crash_amidst)
    with pytest.raises(KeyboardInterrupt):
        maintain(plan)
    monkeypatch.undo()
    done(maintain(plan))
    for at, grown in ((night - HOUR, 1), (night, 3)):
        assert (hours(clone_engine)[at]["records_delta"], hours(clone_engine)[at]["reports"]) == (grown, grown)
    told = {start: (row["records_delta"], row["reports"]) for start, row in days(clone_engine).items()}
    assert told == {night - DAY: (1, 2), night: (3, 3)}
    assert done(maintain(plan)).hours <= 2, "it is done"


def test_an_hour_is_rolled_up_for_a_state_that_holds_in_it_from_the_day_before(
    plan: Plan, clone_engine: sa.Engine
) -> None:
    """Where a connector does not say how often it reports, it is known for a day."""
    at = midnight(3) + 2.5 * HOUR
    observe(clone_engine, at, interval_seconds=None)
    done(maintain(plan))
    assert hours(clone_engine)[midnight(2) + 2 * HOUR]["running_seconds"] == 1800
    assert sum(row["running_seconds"] for row in hours(clone_engine).values()) == 86400


def test_what_comes_late_may_leave_an_hour_of_which_nothing_is_known(plan: Plan, clone_engine: sa.Engine) -> None:
    """The connector seemed to be known for a day; it had said meanwhile that it would report each minute."""
    at = midnight(4)
    observe(clone_engine, at, interval_seconds=None)
    done(maintain(plan))
    assert at + 5 * HOUR in hours(clone_engine)
    observe(clone_engine, at + HOUR, version=2)
    done(maintain(plan))
    assert [start for start in hours(clone_engine) if start < midnight(1)] == [at, at + HOUR]
    assert days(clone_engine)[at]["running_seconds"] == 3600 + 190


def test_an_hour_is_not_counted_again_when_its_tokens_are_gone(plan: Plan, clone_engine: sa.Engine) -> None:
    """They may be kept for less time than observations."""
    observe(clone_engine, at := midnight(20))
    issue_at(clone_engine, at)
    brief = Plan(**{name: getattr(plan, name) for name in Plan.__slots__} | {"token_retention": 10 * DAY})
    done(maintain(brief))
    with clone_engine.begin() as connection:
        assert not connection.scalar(sa.text("SELECT count(*) FROM completion_token"))
        of_it = sa.update(Rollup).where(Rollup.grain == "hour", Rollup.starts_at == at)
        connection.execute(of_it.values(tokens_pending=1, computed_at=at + 2 * HOUR))
    done(maintain(brief))
    assert hours(clone_engine)[at]["tokens_issued"] == days(clone_engine)[at]["tokens_issued"] == 1


def test_an_hour_is_rolled_up_for_tokens_issued_while_nobody_reports(plan: Plan, clone_engine: sa.Engine) -> None:
    observe(clone_engine, midnight(6))
    issue_at(clone_engine, at := midnight(3) + 5 * HOUR)
    done(maintain(plan))
    assert hours(clone_engine)[at]["tokens_issued"] == days(clone_engine)[midnight(3)]["tokens_issued"] == 1
    assert done(maintain(plan)).hours <= 2


def test_what_a_crash_left_undone_is_made_good(
    plan: Plan, clone_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = midnight(3)
    observe(clone_engine, *(first + n * HOUR for n in range(6)))

    class Crash(Exception):
        pass

    def crash_at(count: int) -> Callable[..., None]:
        calls = iter(range(count))

        def work(*arguments: Any, **options: Any) -> None:
            if next(calls, None) is None:
                raise Crash
            rollups.roll_up(*arguments, **options)

        return work

    for count in (2, 5):
        monkeypatch.setattr(maintenance, "roll_up", crash_at(count))
        with pytest.raises(Crash):
            maintain(plan)
    assert not days(clone_engine)
    monkeypatch.undo()
    done(maintain(plan))
    crashed = contents(clone_engine)
    with clone_engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE connector_hourly, connector_daily, rollup"))
    done(maintain(plan))
    assert contents(clone_engine) == crashed
    assert days(clone_engine)[first]["observations"] == 6


def test_the_hour_that_has_not_ended_is_refreshed_but_not_by_everybody(plan: Plan, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=0)
    roll_up_recent(plan)
    (row,) = hours(clone_engine).values()
    assert (row["observations"], row["reports"], row["epochs"]) == (1, 1, 1)
    report(clone_engine, ADDRESS, 1, received=1, completed=0, epoch="another")
    roll_up_recent(plan)
    assert hours(clone_engine)[row["starts_at"]] == row, "it was done a moment ago"
    done(maintain(plan))
    assert hours(clone_engine)[row["starts_at"]]["observations"] == 2


def test_tokens_are_counted_and_their_latency_is_never_told_too_short(plan: Plan, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=0, epoch="a")
    done_one = issue(clone_engine, ADDRESS)
    for version, paused in ((1, True), (2, False)):  # changes, so that both are observed
        status = Status(paused=paused)
        report(clone_engine, ADDRESS, version, received=1, completed=version - 1, epoch="a", status=status)
    lost, pending = issue(clone_engine, ADDRESS), None
    report(clone_engine, ADDRESS, 3, received=1, completed=0, epoch="b")
    pending = issue(clone_engine, ADDRESS)
    done(maintain(plan))
    rows = list(hours(clone_engine).values())
    told = {name: sum(row[f"tokens_{name}"] for row in rows) for name in ("issued", "completed", "lost")}
    assert told == {"issued": 3, "completed": 1, "lost": 1}
    with clone_engine.connect() as connection:
        observed = connection.execute(sa.text("SELECT version, recorded_at FROM observation"))
        times = {row.version: row.recorded_at for row in observed}
        assert connection.scalar(sa.select(sa.func.sum(Rollup.tokens_pending))) == 1
        issued_at = connection.scalar(
            sa.text("SELECT issued_at FROM completion_token WHERE id = :id"), {"id": done_one.id}
        )
    assert set(times) == {1, 2, 3, 4}
    latencies = [row["token_latency_max"] for row in rows if row["token_latency_max"] is not None]
    assert latencies == [pytest.approx((times[3] - issued_at).total_seconds())]
    assert lost.id != pending.id


def test_the_hours_of_pending_tokens_are_looked_at_again_at_twice_their_age(
    plan: Plan, clone_engine: sa.Engine
) -> None:
    start = midnight(2)
    observe(clone_engine, start, start + timedelta(minutes=1))
    done(maintain(plan))

    def pending(computed_after: timedelta) -> bool:
        with clone_engine.begin() as connection:
            connection.execute(
                sa.update(Rollup)
                .where(Rollup.grain == "hour", Rollup.starts_at == start)
                .values(tokens_pending=1, computed_at=start + HOUR + computed_after)
            )
        with clone_engine.connect() as connection:
            found = rollups.stale_hours(connection, start - DAY, again_since=start, fresh_for=timedelta(0))
        return start in [bucket.starts_at for bucket in found]

    age = datetime.now(UTC) - start - HOUR
    assert pending(age / 2.1)
    assert not pending(age / 1.9)


def older(plan: Plan, table: Partitioned, day: date, engine: sa.Engine) -> str:
    """Makes the partition of a day, or of its month."""
    period = table.period(day)
    with engine.begin() as connection:
        make_partition(connection, table, period, in_use=False)
    return f"{table.table}_{period.name}"


def test_what_is_past_its_retention_is_dropped_and_nothing_else(plan: Plan, clone_engine: sa.Engine) -> None:
    today = datetime.now(UTC).date()
    kept: list[str] = []
    gone: list[str] = []
    for table, age, keep in (
        (OBSERVATIONS, 31, False),
        (OBSERVATIONS, 30, True),
        (TOKENS, 32, False),
        (TOKENS, 31, True),
        (HOURS, 440, False),
        (HOURS, 400, True),
    ):
        (kept if keep else gone).append(older(plan, table, today - timedelta(days=age), clone_engine))
    assert sorted(done(maintain(plan)).dropped) == sorted(gone)
    left = [name for table in (PACKED, TOKENS, HOURS) for name in attached(clone_engine, table.table)]
    assert {name.replace("observation", "packed_observation") for name in kept} <= set(left)
    assert not set(gone) & set(left)
    assert done(maintain(plan)).dropped == ()


def test_a_partition_that_was_detached_but_not_dropped_goes_too(plan: Plan, clone_engine: sa.Engine) -> None:
    name = older(plan, OBSERVATIONS, midnight(40).date(), clone_engine)
    with clone_engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE observation DETACH PARTITION {name}"))
        connection.execute(sa.text("CREATE TABLE observation_19990230 (of_somebody_else int)"))
    assert done(maintain(plan)).dropped == (name,)


def test_observations_are_rolled_up_before_they_are_dropped(plan: Plan, clone_engine: sa.Engine) -> None:
    at = midnight(31) + 23 * HOUR
    older(plan, OBSERVATIONS, at.date(), clone_engine)
    observe(clone_engine, at, at + timedelta(minutes=50))
    long = Plan(**{name: getattr(plan, name) for name in Plan.__slots__} | {"observation_retention": 40 * DAY})
    done(maintain(long))
    rolled = contents(clone_engine)
    assert done(maintain(plan)).dropped == (f"packed_observation_{at:%Y%m%d}",)
    assert hours(clone_engine)[at]["observations"] == days(clone_engine)[midnight(31)]["observations"] == 2
    done(maintain(long))
    assert [row for row in contents(clone_engine) if row["starts_at"] < midnight(1)] == [
        row for row in rolled if row["starts_at"] < midnight(1)
    ], "what cannot be computed any more stays"


def test_days_that_are_over_for_some_time_are_packed(plan: Plan, clone_engine: sa.Engine) -> None:
    """Three days stay as they are: recent hours are rolled up again and again, and compared with the day before."""
    ages = (31, 30, 5, 4, 3, 1)
    for ago in ages:
        older(plan, OBSERVATIONS, midnight(ago).date(), clone_engine)
    observe(clone_engine, *(midnight(ago) + HOUR for ago in ages))
    maintained = done(maintain(plan))
    assert maintained.packed == tuple(midnight(ago).date() for ago in (30, 5, 4))
    assert maintained.dropped == (f"observation_{midnight(31):%Y%m%d}",), "and nothing is packed to be dropped"
    rolled = contents(clone_engine)
    again = done(maintain(plan))
    assert (again.packed, again.dropped, again.days) == ((), (), 0)
    assert again.hours <= 2
    assert [row for row in contents(clone_engine) if row["starts_at"] < midnight(1)] == [
        row for row in rolled if row["starts_at"] < midnight(1)
    ]


def test_what_comes_late_to_a_packed_day_is_included(plan: Plan, clone_engine: sa.Engine) -> None:
    at = midnight(8) + HOUR
    older(plan, OBSERVATIONS, at.date(), clone_engine)
    observe(clone_engine, at, at + timedelta(minutes=1))
    assert done(maintain(plan)).packed == (at.date(),)
    observe(clone_engine, at + timedelta(minutes=30), version=3)
    assert done(maintain(plan)).hours >= 1
    assert hours(clone_engine)[at]["observations"] == days(clone_engine)[midnight(8)]["observations"] == 3
    assert hours(clone_engine)[at]["records_delta"] == 2


def test_an_hour_is_not_counted_again_without_the_day_before_it(plan: Plan, clone_engine: sa.Engine) -> None:
    """Its first observation is compared with one of that day, which is dropped first."""
    start = midnight(30)
    for day in (31, 30):
        older(plan, OBSERVATIONS, midnight(day).date(), clone_engine)
    observe(clone_engine, start - HOUR, start + 12 * HOUR)
    done(maintain(plan))
    rolled = hours(clone_engine)[start + 12 * HOUR]
    assert (rolled["records_delta"], days(clone_engine)[start]["records_delta"]) == (1, 1)
    assert f"observation_{start - DAY:%Y%m%d}" not in attached(clone_engine, "observation")
    with clone_engine.begin() as connection:
        old = sa.update(Rollup).where(Rollup.grain == "hour", Rollup.starts_at == start + 12 * HOUR)
        connection.execute(old.values(tokens_pending=1, computed_at=start + 14 * HOUR))
    done(maintain(plan))
    assert hours(clone_engine)[start + 12 * HOUR] == rolled
    assert days(clone_engine)[start]["records_delta"] == 1


def test_after_more_days_off_than_observations_are_kept_all_is_rolled_up_before_it_goes(
    plan: Plan, clone_engine: sa.Engine
) -> None:
    at = midnight(40) + HOUR
    name = older(plan, OBSERVATIONS, at.date(), clone_engine)
    observe(clone_engine, at, at + timedelta(minutes=1))
    assert done(maintain(plan)).dropped == (name,)
    assert hours(clone_engine)[at]["observations"] == days(clone_engine)[midnight(40)]["observations"] == 2


def test_what_has_no_partition_of_its_own_expires_too(plan: Plan, clone_engine: sa.Engine) -> None:
    """It would stay in the default partition for ever."""
    observe(clone_engine, midnight(31) + 23 * HOUR, midnight(30) + HOUR)
    done(maintain(plan))
    with clone_engine.connect() as connection:
        assert connection.scalars(sa.select(Observation.recorded_at)).all() == [midnight(30) + HOUR]


def issue_at(engine: sa.Engine, at: datetime) -> TokenId:
    """A token of the connector's that was issued then."""
    token = TokenId(ADDRESS.id, UUID(int=(int(at.timestamp() * 1000) << 80) + (0x7 << 76) + (0x8 << 60)))
    with engine.begin() as connection:
        values = {"connector_id": token.connector_id, "id": token.id, "epoch_number": 1, "binding": 1, "at": at}
        insert = "INSERT INTO completion_token SELECT :connector_id, :id, :epoch_number, :binding, :at, 'test'"
        connection.execute(sa.text(insert), values)
    return token


def test_a_token_whose_row_is_gone_has_expired_all_the_same(plan: Plan, clone_engine: sa.Engine) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=1)
    fresh = issue(clone_engine, ADDRESS)
    name = older(plan, TOKENS, midnight(40).date(), clone_engine)
    old = issue_at(clone_engine, midnight(40))
    assert done(maintain(plan)).dropped == (name,)
    with pytest.raises(CompletionTokenExpired):
        check_token(clone_engine, ADDRESS, old)
    assert check_token(clone_engine, ADDRESS, fresh).status is TokenStatus.IN_PROGRESS


def test_writers_do_not_wait_for_a_partition_that_is_in_use(
    plan: Plan, clone_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody reads it, the table is never locked; when nobody does any more, it is gone."""
    name = older(plan, OBSERVATIONS, midnight(40).date(), clone_engine)
    monkeypatch.setattr(retention, "_PAUSE_SECONDS", (0.01, 0.01))
    monkeypatch.setattr(retention, "_TRIES", 10**6)
    dropping = threading.Thread(target=maintain, args=(plan,))
    with clone_engine.connect() as reader:
        reader.execute(sa.text(f"SELECT count(*) FROM {name}"))
        dropping.start()
        until(lambda: blocked(clone_engine))
        for _ in range(200):
            with clone_engine.begin() as writer:
                writer.execute(sa.text("LOCK TABLE ONLY observation IN ROW EXCLUSIVE MODE NOWAIT"))
            time.sleep(0.001)
        assert name in attached(clone_engine, "observation")
    dropping.join(60)
    assert not dropping.is_alive()
    assert name not in attached(clone_engine, "observation")


def blocked(engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(sa.text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")))


def test_a_partition_in_use_is_left_to_the_next_run(
    plan: Plan, clone_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = older(plan, OBSERVATIONS, midnight(40).date(), clone_engine)
    monkeypatch.setattr(retention, "_TRIES", 2)
    with clone_engine.connect() as reader:
        reader.execute(sa.text(f"SELECT count(*) FROM {name}"))
        assert done(maintain(plan)).dropped == ()
    assert done(maintain(plan)).dropped == (name,)


def test_one_at_a_time(plan: Plan) -> None:
    with maintenance._turn(plan.url) as mine:
        assert mine is not None
        assert maintain(plan) is None
        roll_up_recent(plan)
    until(lambda: maintain(plan) is not None)  # the server takes a moment to notice that a connection is gone


class Enough(Exception):
    """The keeper has gone round often enough."""


def keep(monkeypatch: pytest.MonkeyPatch, plan: Plan, rounds: int, **works: Any) -> list[str]:
    """Lets the keeper go round so often, a quarter of an hour apart; answers which works it called."""
    called: list[str] = []
    clock = [0.0]

    def calling(name: str) -> Callable[..., None]:
        def call(*_: Any) -> None:
            called.append(name)
            if error := works.get(name):
                raise error("it", {}, Exception())

        return call

    def sleep(seconds: float) -> None:
        clock[0] += 900
        if clock[0] > 900 * rounds:
            raise Enough

    for name in ("ensure_partitions", "maintain", "roll_up_recent"):
        monkeypatch.setattr(maintenance, name, calling(name))
    # The module's own only: other threads sleep, too.
    monkeypatch.setattr(maintenance, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    with pytest.raises(Enough):
        keep_maintained(plan)
    return called


def test_the_keeper_does_all_now_and_then_and_what_is_recent_meanwhile(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything, recent = ["ensure_partitions", "maintain"], ["roll_up_recent"]
    assert keep(monkeypatch, plan, 50) == 2 * (everything + 23 * recent) + everything + recent


def test_the_keeper_tries_all_again_when_the_database_was_away(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """And from the beginning it is seen how long that goes on: the alert goes by it."""
    away = {"ensure_partitions": OperationalError, "maintain": OperationalError}
    begun = time.time()
    assert keep(monkeypatch, plan, 3, **away) == 3 * ["ensure_partitions", "maintain"]
    seen = REGISTRY.get_sample_value("tidemark_thread_last_success_timestamp_seconds", {"thread": "maintenance"})
    assert seen is not None
    assert seen >= begun


def test_where_nobody_makes_partitions_it_counts_as_not_maintained(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rollups are done all the same."""
    done: list[str] = []
    monkeypatch.setattr("app.metrics.succeeded", done.append)  # also of other tests' threads
    works = keep(monkeypatch, plan, 3)
    assert (done.count("maintenance"), works[-1]) == (1, "roll_up_recent"), "it has begun, no more"
    ensure_partitions(plan.url, days_ahead=1)
    keep(monkeypatch, plan, 3)
    assert done.count("maintenance") == 1 + 4


def test_the_keeper_does_what_it_may(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tables belong to somebody else."""
    forbidden = {"ensure_partitions": ProgrammingError, "maintain": ProgrammingError}
    found = keep(monkeypatch, plan, 3, **forbidden)
    assert found == ["ensure_partitions", "maintain", "roll_up_recent", "roll_up_recent"]


def test_it_takes_its_number_only_when_it_writes(plan: Plan, clone_engine: sa.Engine) -> None:
    """Until then it holds no event back: those wait for every transaction that has a number."""
    observe(clone_engine, midnight(2), midnight(2) + HOUR)
    bucket = rollups.Bucket(rollups.Grain.HOUR, midnight(2))
    with clone_engine.begin() as connection:
        explained: list[str] = []

        def explain(conn: Any, clause: Any, *_: Any, **__: Any) -> None:
            compiled = clause.compile(conn.engine, compile_kwargs={"literal_binds": True})
            explained.extend(conn.exec_driver_sql(f"EXPLAIN (COSTS OFF) {compiled}").scalars())

        spy = SimpleNamespace(execute=lambda clause: explain(connection, clause), scalar=lambda _: False)
        rollups.roll_up(spy, bucket, keep_every=plan.history_interval)  # type: ignore[arg-type]
    inserting = next(n for n, line in enumerate(explained) if "Insert on connector_hourly" in line)
    assert next(line for line in explained[inserting + 1 :] if "->" in line).strip() == "->  Sort", explained
