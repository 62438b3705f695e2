"""Those who wait: woken by what settles their needs, by nothing that does not, and never left asleep."""

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import ServiceUnavailable, TooManyRequests, UnknownCompletionToken
from app.domain.names import Address, tenant_id
from app.domain.token import TokenId, TokenStatus
from app.domain.waiting import Need, Standing, Until
from app.services.check import Checked
from app.services.report import remove_connector
from app.services.seats import Seats
from app.services.wait import Outcome, WaitRequest, outcome_of, wait
from app.services.waiters import _AT_A_TIME, Waiter, Waiters
from app.store.engine import transact
from tests.services.reporting import check_token, issue, report
from tests.serving import until as eventually
from tests.tenants import add_tenant

A, B = uuid.UUID(int=1), uuid.UUID(int=2)
LONG = 50.0  # seconds: whoever sleeps so long was left asleep, and the test with him


def stays() -> bool:
    """A client that never hangs up."""
    return False


# one waiter, told of standings


NEEDS = st.sets(st.builds(Need, st.sampled_from([A, B]), st.integers(1, 2), st.integers(1, 3)), min_size=1, max_size=4)
TOLD = st.lists(st.builds(Standing, st.sampled_from([A, B]), st.integers(0, 2), st.integers(0, 3)), max_size=6)


class Woken(Waiters):
    """Waiters without a database."""

    def _start(self) -> None:
        pass


@pytest.fixture(scope="module")
def registry() -> Woken:
    return Woken(sa.create_engine("postgresql+psycopg://"), "postgresql+psycopg://", Seats(most=10, most_of_one=10))


def awake(waiter: Waiter) -> bool:
    """Whether it would not sleep now."""
    return waiter._event.is_set()


@given(needs=NEEDS, while_looking=TOLD, while_asleep=TOLD, any_will_do=st.booleans())
def test_a_waiter_is_woken_by_just_what_settles_enough(
    registry: Woken, needs: set[Need], while_looking: list[Standing], while_asleep: list[Standing], any_will_do: bool
) -> None:
    """Against a waiter that looks at all it has ever been told, whether that was while it looked or while it slept."""
    enough = 1 if any_will_do else len(needs)
    with registry.admit(None, stays) as waiter:
        waiter.listen({A, B})
        for standing in while_looking:
            registry.tell(standing)
        assert awake(waiter) == bool(while_looking), "before it has said what it needs, anything wakes it"
        waiter.need(needs, enough=enough)
        for told in [while_looking, *([*while_looking, *while_asleep[:n]] for n in range(1, len(while_asleep) + 1))]:
            if len(told) > len(while_looking):
                registry.tell(told[-1])
            by = [next((s for s in told if s.connector_id == n.connector_id and s.settles(n)), None) for n in needs]
            lost = any(
                s.connector_id == n.connector_id and s.epoch_number != n.epoch_number for s in told for n in needs
            )
            assert awake(waiter) == (lost or len(needs) - by.count(None) >= enough)
            assert all(registry._registry.values()), "of whom nothing is waited for any more is not looked up"
    assert not registry._registry, "nothing is kept of one who has left"


def test_a_planted_waiter_that_forgets_what_it_heard_is_found(registry: Woken, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Waiter.need

    def forgetful(self: Waiter, needs: set[Need], *, enough: int) -> None:
        self._heard = []
        honest(self, needs, enough=enough)

    monkeypatch.setattr(Waiter, "need", forgetful)
    with pytest.raises(AssertionError):
        test_a_waiter_is_woken_by_just_what_settles_enough(registry)


def test_only_so_many_may_wait_and_so_many_of_one(registry: Woken) -> None:
    few = Woken(registry._engine, "postgresql+psycopg://", Seats(most=3, most_of_one=2))
    with few.admit("a", stays), few.admit("a", stays):
        with pytest.raises(TooManyRequests), few.admit("a", stays):
            pass
        with few.admit("b", stays), pytest.raises(TooManyRequests), few.admit(None, stays):
            pass
        with few.admit(None, stays):
            pass
    assert (few._waiting, few._seats._holders) == (set(), {})


# waits, on a database


class Waits:
    """Waits in threads of their own, on tokens of one connector."""

    def __init__(self, engine: sa.Engine, url: str) -> None:
        self.engine = engine
        self.waiters = Waiters(engine, url, Seats(most=100, most_of_one=100))
        self.address = Address(tenant_id("waits"), "p", "t", uuid.uuid4().hex)
        self.looks = 0
        self.pool = ThreadPoolExecutor(40)
        self.version = 0
        self.given_up = time.monotonic() + LONG  # before any of those that wait so long would give up
        with engine.begin() as connection:
            add_tenant(connection, "waits")
        self.report(1, 1)

    def report(self, received: int, completed: int, epoch: str | None = None) -> None:
        self.version = report(
            self.engine, self.address, self.version, received=received, completed=completed, epoch=epoch
        )

    def check(self, tokens: Sequence[TokenId], places: Sequence[int]) -> list[Outcome]:
        try:
            return [self.check_one(tokens[place]) for place in places]
        finally:
            self.looks += 1

    def check_one(self, token: TokenId) -> Outcome:
        return outcome_of(lambda: check_token(self.engine, self.address, token))

    def start(
        self,
        *tokens: TokenId,
        seconds: float = LONG,
        until: Until = Until.ALL,
        hung_up: Callable[[], bool] = stays,
    ) -> "Future[list[Outcome]]":
        """A wait, which has looked once and sleeps."""
        request = WaitRequest(seconds=seconds, until=until, holder=None, hung_up=hung_up)
        looks = self.looks
        future = self.pool.submit(wait, self.waiters, tokens, lambda places: self.check(tokens, places), request)
        eventually(lambda: self.looks > looks)
        return future

    def statuses(self, waiting: "Future[list[Outcome]]") -> list[TokenStatus | str]:
        outcomes = waiting.result(LONG)
        assert time.monotonic() < self.given_up, "it was not woken: its time was over"
        return [each.status if isinstance(each, Checked) else each.code for each in outcomes]


@pytest.fixture
def waits(clone: str, clone_engine: sa.Engine) -> Iterator[Waits]:
    waits = Waits(clone_engine, clone)
    yield waits
    waits.waiters.close()
    waits.pool.shutdown()


COMPLETE, IN_PROGRESS = TokenStatus.COMPLETE, TokenStatus.IN_PROGRESS


def test_a_wait_ends_when_the_token_is_complete(waits: Waits) -> None:
    waiting = waits.start(issue(waits.engine, waits.address))
    waits.report(1, 1)
    assert not waiting.done()
    waits.report(1, 1)
    assert waits.statuses(waiting) == [COMPLETE]


def test_a_wait_ends_when_the_token_is_lost(waits: Waits) -> None:
    restarted = waits.start(issue(waits.engine, waits.address))
    waits.report(1, 1, "next")
    assert waits.statuses(restarted) == ["PipelineRestarted"]
    removed = waits.start(issue(waits.engine, waits.address))
    transact(waits.engine, lambda connection: remove_connector(connection, waits.address))
    assert waits.statuses(removed) == ["UnknownEndpointInCompletionToken"]


def test_what_needs_no_wait_is_answered_at_once(waits: Waits) -> None:
    token = issue(waits.engine, waits.address)
    waits.report(1, 1)
    waits.report(1, 1)
    assert waits.statuses(waits.start(token)) == [COMPLETE]
    unknown = TokenId(waits.address.id, uuid.UUID(int=token.id.int ^ 1))
    assert waits.statuses(waits.start(unknown)) == [UnknownCompletionToken.__name__]
    assert waits.looks == 2


def test_when_the_time_is_over_the_status_is_the_one_of_then(waits: Waits) -> None:
    assert waits.statuses(waits.start(issue(waits.engine, waits.address), seconds=0.2)) == [IN_PROGRESS]
    assert waits.looks == 2


def test_all_or_any_of_several(waits: Waits) -> None:
    early = issue(waits.engine, waits.address)
    waits.report(1, 1)
    late = issue(waits.engine, waits.address)
    every, one = waits.start(early, late), waits.start(early, late, until=Until.ANY)
    waits.report(1, 1)
    assert waits.statuses(one) == [COMPLETE, IN_PROGRESS]
    assert not every.done()
    waits.report(1, 1)
    assert waits.statuses(every) == [COMPLETE, COMPLETE]


def test_one_that_was_complete_and_is_removed_ends_the_wait_for_all(waits: Waits, clone: str) -> None:
    early = issue(waits.engine, waits.address)
    waits.report(1, 1)
    other = Waits(waits.engine, clone)
    waiting = waits.start(early, issue(other.engine, other.address))
    waits.report(1, 1)
    transact(waits.engine, lambda connection: remove_connector(connection, waits.address))
    assert waits.statuses(waiting)[0] == "UnknownEndpointInCompletionToken"


def test_one_that_is_lost_ends_the_wait_for_all(waits: Waits) -> None:
    token = issue(waits.engine, waits.address)
    unknown = TokenId(waits.address.id, uuid.UUID(int=token.id.int ^ 1))
    assert waits.statuses(waits.start(token, unknown)) == [IN_PROGRESS, "UnknownCompletionToken"]
    any_will_do = waits.start(token, unknown, until=Until.ANY)
    waits.report(1, 1)
    waits.report(1, 1)
    assert waits.statuses(any_will_do) == [COMPLETE, "UnknownCompletionToken"]


def test_sleepers_hold_no_connection_and_cost_two_statements_a_second_at_most(waits: Waits) -> None:
    """All of them together. What comes over the wire counts: the listener's connection says nothing meanwhile."""
    token = issue(waits.engine, waits.address)
    waiting = [waits.start(token) for _ in range(30)]
    lock, sent, started = Lock(), [], time.monotonic()

    def count(*arguments: object) -> None:
        with lock:
            sent.append(arguments[2])

    sa.event.listen(waits.engine, "before_cursor_execute", count)
    eventually(lambda: len(sent) >= 3)
    assert time.monotonic() - started > 1.0
    assert not any(each.done() for each in waiting)
    eventually(lambda: waits.engine.pool.checkedout() == 0)  # type: ignore[attr-defined]  # that was counted as it began
    waits.report(1, 1)
    waits.report(1, 1)
    assert all(waits.statuses(each) == [COMPLETE] for each in waiting)
    assert waits.waiters._registry == {}


@pytest.mark.parametrize("how", ["a report", "a removal"])
def test_the_notification_alone_wakes(waits: Waits, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Without the re-check, and once the listener listens."""
    waiting = waits.start(issue(waits.engine, waits.address))
    lie = sa.text("SELECT pg_notify('tidemark_moved', :told)")
    while waits.looks < 2:
        with waits.engine.begin() as connection:
            connection.execute(lie, {"told": f"{waits.address.id} 1 {2**62}"})
    monkeypatch.setattr(waits.waiters, "_look", lambda: None)
    if how == "a removal":
        transact(waits.engine, lambda connection: remove_connector(connection, waits.address))
        assert waits.statuses(waiting) == ["UnknownEndpointInCompletionToken"]
    else:
        waits.report(1, 1)
        waits.report(1, 1)
        assert waits.statuses(waiting) == [COMPLETE]


def test_without_any_notification_the_wait_ends_all_the_same(waits: Waits) -> None:
    """As when it was lost, or came from where none can: the connector moves, and nobody is told."""
    waiting = waits.start(issue(waits.engine, waits.address))
    with waits.engine.begin() as connection:
        moved = "UPDATE connector SET version = version + 2, completed_version = version + 2 WHERE id = :id"
        connection.execute(sa.text(moved), {"id": waits.address.id})
    assert waits.statuses(waiting) == [COMPLETE]


def test_a_listener_that_is_cut_off_keeps_nobody_asleep(waits: Waits) -> None:
    waiting = waits.start(issue(waits.engine, waits.address))
    for _ in range(2):
        with waits.engine.begin() as connection:
            cut = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute(sa.text(cut))
        waits.report(1, 1)
    assert waits.statuses(waiting) == [COMPLETE]


def test_a_database_that_does_not_answer_costs_time_only(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(waits.engine, waits.address)
    answers = iter([False, False])

    def check(token: TokenId) -> Outcome:
        if next(answers, True):
            return Waits.check_one(waits, token)
        raise ServiceUnavailable

    monkeypatch.setattr(waits, "check_one", check)
    waiting = waits.start(token)
    waits.report(1, 1)
    waits.report(1, 1)
    assert waits.statuses(waiting) == [COMPLETE]


def test_at_the_end_a_database_that_does_not_answer_is_told(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(token: TokenId) -> Outcome:
        raise ServiceUnavailable

    monkeypatch.setattr(waits, "check_one", check)
    with pytest.raises(ServiceUnavailable):
        waits.start(TokenId(waits.address.id, uuid.uuid4()), seconds=0.1).result(LONG)


def test_a_look_may_come_before_one_who_was_woken_has_left(waits: Waits) -> None:
    with waits.waiters.admit(None, stays) as waiter:
        waiter.need({Need(A, 1, 1)}, enough=1)
        waits.waiters.tell(Standing(A, 1, 1))
        waits.waiters._look()
        assert awake(waiter)


def test_one_who_has_hung_up_is_forgotten(waits: Waits) -> None:
    gone: list[bool] = []
    waiting = waits.start(issue(waits.engine, waits.address), hung_up=lambda: bool(gone))
    assert not waiting.done()
    gone.append(True)
    assert waits.statuses(waiting) == [IN_PROGRESS]
    assert waits.waiters._waiting == set()


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import gevent, socket, sys
sys.path.insert(0, ".")
from contextlib import ExitStack
from app.services import waiters
from tests.services.test_waiters import Seats, Woken
registry = Woken(None, "postgresql+psycopg://", Seats(most=10**6, most_of_one=10**6))
sending, receiving = socket.socketpair()
looks, answered = [], []
def server():
    while receiving.recv(1):
        answered.append(len(looks))
def hung_up():
    looks.append(None)
    if len(looks) % waiters._AT_A_TIME == 1:
        sending.sendall(b"x")
    return False
with ExitStack() as held:
    for _ in range(10 * waiters._AT_A_TIME):
        held.enter_context(registry.admit(None, hung_up))
    gevent.spawn(server)
    gevent.sleep(0.001)
    registry._forget_the_gone()
    print(*answered)
"""


def test_whoever_sends_something_is_heard_while_thousands_are_looked_after() -> None:
    """Greenlets get their turn only when what waits for a socket gets it, which ``sleep(0)`` does not bring about."""
    run = [sys.executable, "-W", "error", "-c", GREENLETS]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    heard_during = {int(looks) for looks in done.stdout.split()} - {10 * _AT_A_TIME}
    assert len(heard_during) >= 3


def test_when_the_process_ends_everybody_is_answered_as_things_stand(waits: Waits) -> None:
    token = issue(waits.engine, waits.address)
    waiting = [waits.start(token) for _ in range(3)]
    waits.waiters.close()
    assert [waits.statuses(each) for each in waiting] == [[IN_PROGRESS]] * 3
    assert waits.statuses(waits.start(token)) == [IN_PROGRESS], "nor does anybody sleep who comes later"


@pytest.mark.parametrize("payload", ["nonsense", "1 2 3", f"{A} x 1", f"{A} 1 2 3", "", ",", " "])
def test_what_anybody_notifies_wakes_nobody_for_good(waits: Waits, payload: str) -> None:
    def notify() -> None:
        with waits.engine.begin() as connection:
            for told in (payload, f"{waits.address.id} 1 {2**62}"):
                connection.execute(sa.text("SELECT pg_notify('tidemark_moved', :told)"), {"told": told})

    waiting = waits.start(issue(waits.engine, waits.address))
    while waits.looks < 2:  # the listener takes a moment to listen
        notify()
    assert not waiting.done()
    waits.report(1, 1)
    waits.report(1, 1)
    assert waits.statuses(waiting) == [COMPLETE]
