"""A database that was restored to an earlier point: what a token and a report of the lost history may do there.

A copy made at that point stands for the restored one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from app.domain.connector import Report, StreamPosition
from app.domain.errors import PreconditionFailed, PreconditionRequired, UnknownCompletionToken
from app.domain.names import Address, tenant_id
from app.domain.position import Position
from app.domain.status import Recording
from app.domain.token import TokenStatus
from app.store.engine import make_engine, transact
from app.store.restore import leave_lost_versions
from tests.services.reporting import check_token, issue, report, send
from tests.tenants import add_tenant

ORDERS = Address(tenant_id("default"), "demo", "orders", "billing")
Copied = Callable[[str], str]


@contextmanager
def using(url: str) -> Iterator[sa.Engine]:
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture(params=[True, False], ids=["with the step", "without"])
def step(request: pytest.FixtureRequest) -> bool:
    """Whether `tidemark db restored` is run, or forgotten."""
    return bool(request.param)


def prepared(url: str, step: bool) -> None:
    if step:
        with using(url) as engine:
            assert transact(engine, leave_lost_versions) == 1


def measured(received: int, if_match: int | None, recording: Recording = Recording.SAMPLED) -> Report:
    position = StreamPosition(epoch=None, received=Position.parse(received), completed=Position.parse(received))
    return Report(if_match=if_match, position=position, recording=recording)


def current(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalars(sa.text("SELECT version FROM connector")).one())


def test_a_report_measured_in_the_lost_history_is_stale(clone: str, copied: Copied, step: bool) -> None:
    with using(clone) as engine:
        transact(engine, lambda connection: add_tenant(connection, "default"))
        assert report(engine, ORDERS, 0, received=10, completed=10) == 1
    restored = copied(clone)
    with using(clone) as lost:
        for version in (1, 2):
            assert report(lost, ORDERS, version, received=20, completed=20) == version + 1
        late = measured(20, if_match=3)  # it has learned version 3, has measured, and is slow to send it
    prepared(restored, step)
    with using(restored) as engine:
        report(engine, ORDERS, current(engine), received=20, completed=20)
        slow = measured(20, if_match=current(engine))
        token = issue(engine, ORDERS)  # on all that was received by now, which is 30, and only 20 of it is processed
        send(engine, ORDERS, slow)
        outcome = send(engine, ORDERS, late)
        assert isinstance(outcome, PreconditionFailed) is step
        early = check_token(engine, ORDERS, token).status is TokenStatus.COMPLETE
        assert early is not step


def test_a_token_on_a_synchronous_connector_waits_for_a_record_that_is_true(
    clone: str, copied: Copied, step: bool
) -> None:
    with using(clone) as engine:
        transact(engine, lambda connection: add_tenant(connection, "default"))
        send(engine, ORDERS, measured(10, None, Recording.SYNCHRONOUS))
    restored = copied(clone)
    with using(clone) as lost:  # the engine takes more input, and acknowledges it
        position = StreamPosition(epoch=None, received=Position.parse(20), completed=Position.parse(10))
        send(lost, ORDERS, Report(position=position, recording=Recording.SYNCHRONOUS))
    prepared(restored, step)
    with using(restored) as engine:
        token = issue(engine, ORDERS)
        early = check_token(engine, ORDERS, token).status is TokenStatus.COMPLETE
        assert early is not step
        if step:
            late = send(engine, ORDERS, measured(20, None, Recording.SYNCHRONOUS))
            assert isinstance(late, PreconditionRequired), "it may be of the lost history"
            for _ in range(2):
                send(engine, ORDERS, measured(20, current(engine), Recording.SYNCHRONOUS))
            assert check_token(engine, ORDERS, token).status is TokenStatus.COMPLETE
            assert check_token(engine, ORDERS, issue(engine, ORDERS)).status is TokenStatus.COMPLETE


def test_the_same_point_restored_once_more_has_other_versions(clone: str, copied: Copied) -> None:
    with using(clone) as engine:
        transact(engine, lambda connection: add_tenant(connection, "default"))
        report(engine, ORDERS, 0, received=10, completed=10)
    versions = []
    for restored in (copied(clone), copied(clone)):
        prepared(restored, step=True)
        with using(restored) as engine:
            versions.append(report(engine, ORDERS, current(engine), received=10, completed=10))
    assert versions[0] < versions[1]


def test_tokens_of_before_go_on_and_those_of_after_are_unknown(clone: str, copied: Copied) -> None:
    with using(clone) as engine:
        transact(engine, lambda connection: add_tenant(connection, "default"))
        report(engine, ORDERS, 0, received=10, completed=10)
        report(engine, ORDERS, 1, received=10, completed=10)
        before = issue(engine, ORDERS)
        complete = issue(engine, ORDERS)
        report(engine, ORDERS, 2, received=10, completed=10)
    restored = copied(clone)
    with using(clone) as lost:
        after = issue(lost, ORDERS)
    prepared(restored, step=True)
    with using(restored) as engine:
        with pytest.raises(UnknownCompletionToken):
            check_token(engine, ORDERS, after)
        for token in (before, complete):
            assert check_token(engine, ORDERS, token).status is TokenStatus.IN_PROGRESS
        report(engine, ORDERS, current(engine), received=20, completed=10)
        assert check_token(engine, ORDERS, before).status is TokenStatus.IN_PROGRESS
        report(engine, ORDERS, current(engine), received=20, completed=20)
        assert check_token(engine, ORDERS, before).status is TokenStatus.COMPLETE
