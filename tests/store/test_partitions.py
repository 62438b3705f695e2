import re
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from app.domain.names import Address, tenant_id
from app.store import models
from app.store.engine import make_engine, statement
from app.store.partitions import DAYS_AHEAD, ensure_partitions
from tests.services.reporting import check_token, issue, report

ADDRESS = Address(tenant_id("default"), "demo", "orders", "billing")


def partitions(engine: sa.Engine, table: str) -> list[str]:
    sql = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:table AS regclass) ORDER BY 1"
    with engine.connect() as connection:
        return list(connection.scalars(sa.text(sql), {"table": table}))


def rows(engine: sa.Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalars(sa.text(f"SELECT count(*) FROM {table}")).one())


def test_today_and_the_days_ahead_are_there_and_a_second_run_changes_nothing(
    clone: str, clone_engine: sa.Engine
) -> None:
    ensure_partitions(clone)
    for table in ("completion_token", "observation"):
        names = partitions(clone_engine, table)
        today = datetime.now(UTC).date()
        days = [f"{table}_{today + timedelta(days=n):%Y%m%d}" for n in range(DAYS_AHEAD + 1)]
        assert names == [*days, f"{table}_default"]
        ensure_partitions(clone)
        assert partitions(clone_engine, table) == names


def test_hours_have_partitions_by_the_month_those_of_the_last_days_too(clone: str, clone_engine: sa.Engine) -> None:
    ensure_partitions(clone)
    today = datetime.now(UTC).date()
    months = {f"{today + timedelta(days=n):%Y%m}" for n in range(-31, DAYS_AHEAD + 1)}
    assert partitions(clone_engine, "connector_hourly") == [
        *(f"connector_hourly_{month}" for month in sorted(months)),
        "connector_hourly_default",
    ]


def test_a_token_lands_in_the_partition_of_its_day(clone: str, clone_engine: sa.Engine) -> None:
    ensure_partitions(clone)
    report(clone_engine, ADDRESS, 0, received=1, completed=0)
    token = issue(clone_engine, ADDRESS)
    day = datetime.fromtimestamp(token.issued_at_ms / 1000, UTC)
    assert token.id.version == 7
    assert abs(datetime.now(UTC) - day) < timedelta(minutes=1)
    assert rows(clone_engine, f"completion_token_{day:%Y%m%d}") == 1
    assert rows(clone_engine, f"observation_{day:%Y%m%d}") == 1


def test_without_a_partition_the_default_takes_the_row_until_the_next_run_moves_it(
    clone: str, clone_engine: sa.Engine
) -> None:
    report(clone_engine, ADDRESS, 0, received=1, completed=0)
    token = issue(clone_engine, ADDRESS)
    assert rows(clone_engine, "completion_token_default") == rows(clone_engine, "observation_default") == 1
    ensure_partitions(clone)
    assert rows(clone_engine, "completion_token_default") == rows(clone_engine, "observation_default") == 0
    with clone_engine.connect() as connection:
        assert connection.scalars(sa.select(models.CompletionToken.id)).one() == token.id


def test_a_row_far_in_the_future_is_taken_too(clone: str, clone_engine: sa.Engine) -> None:
    row = {"connector_id": uuid4(), "id": UUID(int=2**128 - 1), "epoch_number": 1, "binding": 1, "issued_by": "x"}
    with clone_engine.begin() as connection:
        connection.execute(sa.insert(models.CompletionToken).values(row))
    assert rows(clone_engine, "completion_token_default") == 1


def test_a_lock_that_is_not_to_be_had_only_delays_a_partition(
    clone: str, clone_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.partitions._LOCK_TIMEOUT", "50ms")
    with clone_engine.begin() as holder:
        holder.execute(sa.text("LOCK TABLE observation_default IN ACCESS SHARE MODE"))
        ensure_partitions(clone, days_ahead=2)
    assert partitions(clone_engine, "observation") == ["observation_default"]
    assert len(partitions(clone_engine, "completion_token")) == 4
    ensure_partitions(clone, days_ahead=2)
    assert len(partitions(clone_engine, "observation")) == 4


def test_many_may_run_at_once(clone: str, clone_engine: sa.Engine) -> None:
    threads = [threading.Thread(target=ensure_partitions, args=(clone,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(partitions(clone_engine, "completion_token")) == DAYS_AHEAD + 2


def test_nobody_notices_that_rows_are_moved(clone: str) -> None:
    """Tokens are issued and checked while the partition of today is made, over and over."""
    engine = make_engine(clone, pool_size=8)
    report(engine, ADDRESS, 0, received=1, completed=0)
    done, failures = threading.Event(), []

    def use() -> None:
        while not done.is_set():
            try:
                check_token(engine, ADDRESS, issue(engine, ADDRESS))
            except Exception as failure:
                failures.append(failure)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    today = datetime.now(UTC).date()
    for _ in range(15):
        ensure_partitions(clone, days_ahead=1)
        put_back(engine, f"completion_token_{today:%Y%m%d}")
    done.set()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert not failures


def put_back(engine: sa.Engine, partition: str) -> None:
    """As if the partition had never been made: its rows are in the default one."""
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE completion_token IN ACCESS EXCLUSIVE MODE"))
        if partition in connection.scalars(sa.text("SELECT inhrelid::regclass::text FROM pg_inherits")).all():
            connection.execute(sa.text(f"ALTER TABLE completion_token DETACH PARTITION {partition}"))
            connection.execute(sa.text(f"INSERT INTO completion_token SELECT * FROM {partition}"))
            connection.execute(sa.text(f"DROP TABLE {partition}"))


def test_a_token_is_looked_up_by_its_keys_whatever_the_planner_knows(clone: str, clone_engine: sa.Engine) -> None:
    """Neither all tokens of a day nor all epochs are read: there may be a million of them."""
    ensure_partitions(clone)
    report(clone_engine, ADDRESS, 0, received=1, completed=0)
    token = issue(clone_engine, ADDRESS)
    place = {"tenants": ADDRESS.tenant, "pipelines": ADDRESS.pipeline_id}
    arguments = place | {"connectors": token.connector_id, "tokens": token.id}
    parameters = {name: f"{{{value}}}" for name, value in arguments.items()}
    explained = sa.text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement('check_token').text}")
    with clone_engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL plan_cache_mode = force_generic_plan"))
        plan = "\n".join(connection.scalars(explained, parameters))
    looked_at = [line for line in plan.splitlines() if "Scan" in line and "never executed" not in line]
    assert {re.sub(r".* on (\w+).*", r"\1", line) for line in looked_at} >= {"connector", "connector_epoch"}
    assert sum("completion_token" in line for line in looked_at) == 1, plan
    assert "Hash" not in plan.split("Limit")[1], plan
