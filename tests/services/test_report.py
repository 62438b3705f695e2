import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.domain.connector import Report, StreamPosition, accept
from app.domain.errors import (
    EpochSuperseded,
    PreconditionFailed,
    PreconditionRequired,
    UnknownInputEndpoint,
    UnknownPipelineName,
)
from app.domain.names import Address
from app.domain.position import Position
from app.domain.status import Health, Metrics, Recording, Status
from app.domain.token import TokenStatus
from app.services.check import Checked
from app.services.report import Addressed, Recorded, record, remove_connector
from app.store import models, reports
from app.store.engine import make_engine, run, transact
from tests.services.reporting import KEEP_EVERY, check_token, issue, report, send
from tests.tenants import add_tenant


@pytest.fixture
def address(engine: sa.Engine) -> Address:
    with engine.begin() as connection:
        return Address(add_tenant(connection, uuid.uuid4().hex), "demo", "orders", "billing")


def select(engine: sa.Engine, model: type[models.Base], address: Address) -> list[Any]:
    with engine.connect() as connection:
        columns = model.__table__.c
        query = sa.select(model.__table__).where(columns.connector_id == address.id)
        return list(connection.execute(query.order_by(*model.__table__.primary_key)))


def events(engine: sa.Engine, address: Address) -> list[tuple[int, str]]:
    return [(row.version, row.kind) for row in select(engine, models.ConnectorEvent, address)]


def synchronous(received: int, completed: int, epoch: str | None) -> Report:
    """A report that names no version."""
    position = StreamPosition(epoch=epoch, received=Position.parse(received), completed=Position.parse(completed))
    return Report(recording=Recording.SYNCHRONOUS, position=position)


def test_observations_are_thinned_unless_something_but_counters_changes(engine: sa.Engine, address: Address) -> None:
    counted = Status(metrics=Metrics(total_records=5))
    paused = Status(metrics=Metrics(total_records=6), paused=True)
    for version, status in enumerate((Status(), counted, counted, paused, paused)):
        send(engine, address, Report(if_match=version, status=status))
    assert [row.version for row in select(engine, models.Observation, address)] == [1, 4]
    send(engine, address, Report(if_match=5, status=paused), keep_every=timedelta(0))
    assert [row.version for row in select(engine, models.Observation, address)] == [1, 4, 6]


def test_another_interval_is_observed_for_history_to_know_how_long_a_state_lasts(
    engine: sa.Engine, address: Address
) -> None:
    for version, seconds in enumerate((3600, 3600, 10, 10, None, None)):
        send(engine, address, Report(if_match=version, interval_seconds=seconds, status=Status()))
    assert [row.version for row in select(engine, models.Observation, address)] == [1, 3, 5]


def test_trouble_is_observed_as_it_begins_and_ends(engine: sa.Engine, address: Address) -> None:
    for version, completed in enumerate((5, 5, 5, 5, 5, 6, 6)):
        report(engine, address, version, received=9, completed=completed, status=Status())
    found = [(row.version, row.progress) for row in select(engine, models.Observation, address)]
    assert found == [(1, "moving"), (4, "stalled"), (6, "moving")]


def test_an_observation_holds_the_lag(engine: sa.Engine, address: Address) -> None:
    most = 2**63 - 1
    report(engine, address, 0, received={"a": most, "b": most}, completed={"a": 0, "b": 0})
    (row,) = select(engine, models.Observation, address)
    assert (row.lag_records, row.lag_seconds) == (2 * most, 0.0)
    assert row.received == {"a": most, "b": most}


def test_transitions_are_events(engine: sa.Engine, address: Address) -> None:
    ill = Status(health=Health(healthy=False, description="no route"), fatal_error="gone", paused=True)
    report(engine, address, 0, received=5, completed=5, epoch="a")
    report(engine, address, 1, received=5, completed=3, epoch="a", status=ill)
    report(engine, address, 2, received=6, completed=6, epoch="a")
    report(engine, address, 3, received=0, completed=0, epoch="b")
    transact(engine, lambda c: remove_connector(c, address))
    report(engine, address, 0, received=1, completed=1, epoch="b")
    assert events(engine, address) == [
        (1, "created"),
        (1, "epoch"),
        (2, "failed"),
        (2, "health"),
        (2, "paused"),
        (2, "rewound"),
        (3, "health"),
        (3, "recovered"),
        (3, "resumed"),
        (4, "epoch"),
        (4, "removed"),
        (5, "epoch"),
        (5, "restored"),
    ]


def test_an_epoch_is_frozen_at_its_end(engine: sa.Engine, address: Address) -> None:
    report(engine, address, 0, received=5, completed=5, epoch="a")
    report(engine, address, 1, received=9, completed=5, epoch="a")
    report(engine, address, 2, received=1, completed=1, epoch="b")
    transact(engine, lambda c: remove_connector(c, address))
    epochs = select(engine, models.ConnectorEpoch, address)
    assert [(e.number, e.label, e.first_version, e.completed_version, e.removed) for e in epochs] == [
        (1, "a", 1, 1, False),
        (2, "b", 3, 3, True),
    ]
    assert all(e.ended_at is not None for e in epochs)


def test_a_label_closed_in_this_life_is_a_zombie_and_one_of_an_earlier_life_is_not(
    engine: sa.Engine, address: Address
) -> None:
    position = StreamPosition(epoch="a", received=Position.parse(1), completed=Position.parse(1))
    report(engine, address, 0, received=1, completed=1, epoch="a")
    report(engine, address, 1, received=1, completed=1, epoch="b")
    zombie = send(engine, address, Report(if_match=2, position=position))
    assert isinstance(zombie, EpochSuperseded)
    transact(engine, lambda c: remove_connector(c, address))
    assert report(engine, address, 0, received=1, completed=1, epoch="a") == 3


def test_a_report_changes_the_hot_row_in_place(clone: str) -> None:
    """HOT updates: no index is written, however many reports come.

    In one round of three: while autovacuum looks at the database, the page keeps what it may see, and can get full.
    """
    engine = make_engine(clone, pool_size=1)  # a session's statistics are its own until it tells of them
    with engine.begin() as connection:
        address = Address(add_tenant(connection, "hot"), "demo", "orders", "billing")
    report(engine, address, 0, received={"0": 0, "1": 7}, completed={"0": 0})
    counted = sa.text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'connector'")
    shares, before = [], (0, 0)
    for start in (1, 201, 401):
        for version in range(start, start + 200):
            report(engine, address, version, received={"0": version, "1": 7}, completed={"0": version // 2})
        run(engine, lambda c: c.execute(sa.text("SELECT pg_stat_force_next_flush()")))
        updated, hot = run(engine, lambda c: c.execute(counted).one())
        assert updated - before[0] == 200
        shares.append((hot - before[1]) / 200)
        before = updated, hot
    engine.dispose()
    assert max(shares) >= 0.95


def test_a_batch_answers_in_its_order_and_each_for_itself(engine: sa.Engine, address: Address) -> None:
    others = [Address(address.tenant, "demo", "orders", f"c{n}") for n in range(50)]
    items = [Addressed(other, Report(if_match=0 if n % 2 else 7)) for n, other in enumerate(others)]
    outcomes = transact(engine, lambda c: record(c, items, keep_every=KEEP_EVERY))
    for n, outcome in enumerate(outcomes):
        if n % 2:
            assert outcome == Recorded(1, created=True)
        else:
            assert isinstance(outcome, PreconditionFailed)
            assert outcome.current_version == 0


def test_a_refused_report_leaves_no_pipeline_behind(engine: sa.Engine, address: Address) -> None:
    assert isinstance(send(engine, address, Report(if_match=3)), PreconditionFailed)
    with pytest.raises(UnknownPipelineName):
        issue(engine, address)


@pytest.mark.parametrize("recording", Recording)
def test_reports_of_many_at_once_are_versions_without_gaps(
    engine: sa.Engine, address: Address, recording: Recording
) -> None:
    """Sampled reports are refused when overtaken; synchronous ones are computed again and none is refused."""
    versions: list[int] = []
    refused: list[Any] = []

    def reporter() -> None:
        learnt = 0
        for _ in range(15):
            if_match = learnt if recording is Recording.SAMPLED else None
            outcome = send(engine, address, Report(if_match=if_match, recording=recording))
            if isinstance(outcome, Recorded):
                versions.append(outcome.version)
                learnt = outcome.version
            else:
                refused.append(outcome)
                learnt = outcome.current_version

    threads = [threading.Thread(target=reporter) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(1, len(versions) + 1))
    assert len(versions) + len(refused) == 75
    assert not refused or recording is Recording.SAMPLED


def test_removal_is_for_known_connectors(engine: sa.Engine, address: Address) -> None:
    with pytest.raises(UnknownPipelineName):
        transact(engine, lambda c: remove_connector(c, address))
    report(engine, address, 0, received=1, completed=1)
    transact(engine, lambda c: remove_connector(c, address))
    with pytest.raises(UnknownInputEndpoint):
        transact(engine, lambda c: remove_connector(c, address))


def test_a_report_computed_before_a_removal_does_not_undo_it(engine: sa.Engine, address: Address) -> None:
    """The row's version is the same before and after a removal; the write must see the difference all the same."""
    report(engine, address, 0, received=1, completed=1)
    with engine.connect() as slow:
        loaded = record_until_write(slow, address)
        transact(engine, lambda c: remove_connector(c, address))
        assert loaded() == set()


def record_until_write(connection: sa.Connection, address: Address) -> Any:
    """Reads and computes a report; answers the function that writes it."""
    (loaded,) = reports.load(connection, [(address, None)])
    position = StreamPosition(epoch=None, received=Position.parse(2), completed=Position.parse(2))
    accepted = accept(
        loaded.connector,
        Report(if_match=1, position=position),
        now=loaded.now,
        closed_labels=(),
        keep_every=KEEP_EVERY,
    )
    change = reports.Change(address=address, before=loaded.connector, after=accepted.connector, at=loaded.now)
    return lambda: reports.write(connection, [change])


def test_a_migration_that_adds_a_column_fails_nobody(clone: str, clone_engine: sa.Engine) -> None:
    """The statements are prepared by then, and a prepared `SELECT *` would fail on every connection."""
    with clone_engine.begin() as connection:
        address = Address(add_tenant(connection, "warm"), "demo", "orders", "billing")
    engine = make_engine(clone, pool_size=1)
    for version in range(10):
        report(engine, address, version, received=1, completed=1)
        run(engine, lambda c: reports.load(c, [(address, None)]))
    with clone_engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE connector ADD COLUMN later int"))
    run(engine, lambda c: reports.load(c, [(address, None)]))
    assert report(engine, address, 10, received=1, completed=1) == 11
    engine.dispose()


def test_a_synchronous_connectors_token_waits_for_its_newest_position(engine: sa.Engine, address: Address) -> None:
    """And not for a later report of status only, which an idle engine may never follow up."""
    report(engine, address, None, received=5, completed=5, recording=Recording.SYNCHRONOUS)
    send(engine, address, Report(recording=Recording.SYNCHRONOUS, status=Status(paused=True)))
    token = issue(engine, address)
    assert check_token(engine, address, token) == Checked(TokenStatus.COMPLETE, 1, 1)


def test_turning_synchronous_takes_a_position(engine: sa.Engine, address: Address) -> None:
    """The one recorded before was sampled: the engine may have taken more by the time it says so."""
    report(engine, address, 0, received=100, completed=100)
    send(engine, address, Report(recording=Recording.SYNCHRONOUS))
    token = issue(engine, address)
    assert check_token(engine, address, token) == Checked(TokenStatus.IN_PROGRESS, 1, 4)


def test_only_a_condition_brings_a_removed_connector_back(engine: sa.Engine, address: Address) -> None:
    report(engine, address, None, received=1, completed=1, recording=Recording.SYNCHRONOUS)
    transact(engine, lambda c: remove_connector(c, address))
    assert isinstance(send(engine, address, Report(recording=Recording.SYNCHRONOUS)), PreconditionRequired)
    assert report(engine, address, 0, received=1, completed=1, recording=Recording.SYNCHRONOUS) == 2


def test_a_synchronous_report_that_comes_late_does_not_make_a_sampled_connector_synchronous(
    engine: sa.Engine, address: Address
) -> None:
    """It was sent twice, for lack of an answer; its engine records by sampling now, and takes more than it reports."""
    report(engine, address, None, received=10, completed=10, recording=Recording.SYNCHRONOUS)
    late = synchronous(10, 10, epoch=None)
    report(engine, address, 1, received=10, completed=10)
    assert isinstance(send(engine, address, late), PreconditionRequired)
    assert check_token(engine, address, issue(engine, address)) == Checked(TokenStatus.IN_PROGRESS, 1, 4)
    assert report(engine, address, 2, received=15, completed=15, recording=Recording.SYNCHRONOUS) == 3
    assert check_token(engine, address, issue(engine, address)) == Checked(TokenStatus.COMPLETE, 1, 3)


def test_a_synchronous_report_that_comes_late_does_not_end_an_epoch(engine: sa.Engine, address: Address) -> None:
    """The run that sent it crashed before anything of it was recorded, and another one has taken over."""
    for run_, if_match in (("run-1", None), ("run-3", 1)):
        report(engine, address, if_match, received=10, completed=5, epoch=run_, recording=Recording.SYNCHRONOUS)
    token = issue(engine, address)
    assert isinstance(send(engine, address, synchronous(0, 0, epoch="run-2")), PreconditionRequired)
    assert isinstance(send(engine, address, synchronous(10, 10, epoch="run-1")), EpochSuperseded)
    report(engine, address, None, received=10, completed=10, epoch="run-3", recording=Recording.SYNCHRONOUS)
    assert check_token(engine, address, token) == Checked(TokenStatus.COMPLETE, 2, 2)
