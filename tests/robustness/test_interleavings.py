"""Every order of the steps of two transactions that meet, on real Postgres.

Whatever the order, both sides get the outcomes, and leave the rows, of one of the two orders in which they could have
gone one after the other; of that one, where the one had ended before the other began. Nobody deadlocks, nobody waits
for ever, and nobody sees an error that the serial order does not give.
"""

import math
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app.domain import token as token_rules
from app.domain.connector import remove
from app.store import reports, tokens
from app.store.engine import make_engine, run, statement
from tests.domain.history import Early
from tests.robustness.schedules import stepping
from tests.robustness.schedules.explorer import Deadlocked, Explorer
from tests.robustness.schedules.pairs import PAIRS
from tests.robustness.schedules.promises import NotSerial, TokenWaited
from tests.robustness.schedules.stepping import WaitedForEver, schedules, watched
from tests.serving import until


@pytest.fixture(scope="module")
def database(database_server: str, template_database: str) -> Iterator[str]:
    """The URL of one database for all tests here, which tell their connectors apart by name.

    To make one for each costs as much as a short pair. Nobody crashes it, so that it need not wait for its disk.
    """
    name = f"tidemark_test_{uuid.uuid4().hex[:12]}"
    in_use = sa.text("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = :name)").bindparams(name=name)
    with sa.create_engine(database_server, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as admin:
        admin.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
        admin.execute(sa.text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        yield sa.make_url(database_server).set(database=name).render_as_string(hide_password=False)
        until(lambda: not admin.scalar(in_use))
        admin.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def explorer(database: str) -> Iterator[Explorer]:
    """The engine that makes partitions is stopped at its steps, too. A new backend is slow: they are kept."""
    honest = sa.create_engine
    engine = watched(make_engine(database, pool_size=3, timeout_seconds=60.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.store.partitions.create_engine", lambda *a, **k: watched(honest(*a, **k)))
        with sa.create_engine(database, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as monitor:
            yield Explorer(engine, monitor)
    engine.dispose()


@pytest.mark.parametrize("name", PAIRS)
def test_every_order_is_as_good_as_a_serial_one(explorer: Explorer, name: str) -> None:
    pair = PAIRS[name]
    played = explorer.explore(name, pair)
    print(f"{name}: {played} schedules")
    assert played * (1 + pair.mirrored) == math.comb(sum(pair.steps), pair.steps[0])


def _any_version_is_overwritten(patch: pytest.MonkeyPatch) -> None:
    change = "AND c.version = r.expected_version", ""
    patch.setattr(reports, "statement", _altered("update_connectors", change))


def _rows_in_the_order_of_the_batch(patch: pytest.MonkeyPatch) -> None:
    honest = reports._update
    patch.setattr(reports, "sorted", lambda items, key=None: list(items), raising=False)
    patch.setattr(reports, "_update", lambda c, changes: {id for each in changes for id in honest(c, [each])})


def _issue_locks_the_connector(patch: pytest.MonkeyPatch) -> None:
    locking = [
        ("LEFT JOIN connector", "JOIN connector"),
        ("removed_at IS NULL\n)", "removed_at IS NULL FOR SHARE OF c\n)"),
    ]
    patch.setattr(tokens, "statement", _altered("issue_token", *locking))


def _token_waits_for_one_more(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(token_rules, "SAMPLED_AHEAD", 1)


def _removal_overwrites(patch: pytest.MonkeyPatch) -> None:
    honest = reports.write_removal

    def write_removal(connection: sa.Connection, change: reports.Change) -> bool:
        sql = "SELECT version FROM connector WHERE id = :id"
        version = connection.scalars(sa.text(sql), {"id": change.address.id}).one()
        return honest(connection, replace(change, before=replace(change.before, version=version)))

    patch.setattr(reports, "write_removal", write_removal)


def _removal_leaves_the_epoch_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("app.services.report.remove", lambda connector: replace(remove(connector), closed=None))


def _altered(name: str, *changes: tuple[str, str]) -> Callable[[str], sa.TextClause]:
    """The statements, this one with changes that must fit it."""
    sql = statement(name).text
    for old, new in changes:
        assert sql.count(old) == 1, f"{name}.sql has not once but {sql.count(old)} times: {old}"
        sql = sql.replace(old, new)
    changed = sa.text(sql)
    return lambda asked: changed if asked == name else statement(asked)


PLANTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, tuple[int, int], type[AssertionError]]] = {
    "any version is overwritten": (_any_version_is_overwritten, "report, report", (4, 4), NotSerial),
    "rows in the order of the batch": (_rows_in_the_order_of_the_batch, "batch, batch backwards", (6, 6), Deadlocked),
    "issue locks the connector": (_issue_locks_the_connector, "report, issue", (4, 1), TokenWaited),
    "token waits for one more": (_token_waits_for_one_more, "report, issue", (4, 1), Early),
    "removal overwrites": (_removal_overwrites, "report, removal", (4, 6), NotSerial),
    "removal leaves the epoch open": (_removal_leaves_the_epoch_open, "removal, issue", (5, 1), Early),
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_is_found(explorer: Explorer, monkeypatch: pytest.MonkeyPatch, defect: str) -> None:
    plant, name, steps, fault = PLANTED[defect]
    plant(monkeypatch)
    with pytest.raises(fault) as found:
        explorer.explore(defect, replace(PAIRS[name], steps=steps))
    print(found.value)


def test_a_deadlock_and_an_error_are_told(explorer: Explorer) -> None:
    def lock(*keys: int) -> Callable[[], None]:
        def work() -> None:
            with explorer.engine.begin() as connection:
                for key in keys:
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

        return work

    assert list(schedules(1, 2)) == ["ABB", "BAB", "BBA"]
    assert explorer.stage.play((lock(1, 2), lock(2, 1)), "AABBBA").waited == {"B"} - {"A"}
    played = explorer.stage.play((lock(1, 2), lock(2, 1)), "ABABAB")
    assert played.deadlocks == 1
    assert played.waited == {"A", "B"}
    (failed,) = [outcome for outcome in played.outcomes if outcome is not None]
    assert "deadlock detected" in str(failed)


def test_who_waits_for_somebody_else_waits_for_ever(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "_LONGEST_SECONDS", 1.0)
    lock = sa.text("SELECT pg_advisory_xact_lock(1)")
    waiting: list[threading.Thread] = []

    def wait() -> None:
        waiting.append(threading.current_thread())
        run(explorer.engine, lambda c: c.execute(lock))

    with explorer.engine.begin() as holder:
        holder.execute(lock)
        with pytest.raises(WaitedForEver):
            explorer.stage.play((wait, lambda: None), "AB")
    waiting[0].join()
