"""Natural batching: whatever comes together, each call is answered as if it had come alone."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import ServiceUnavailable, UnknownApiKey
from app.store.batcher import Batcher
from app.store.deadline import patience, spending
from tests.serving import until

SECONDS = 30.0  # a caller's, where it does not matter


class Poison(Exception):
    """Nobody can work this off."""


@contextmanager
def admitted(seconds: float = SECONDS) -> Iterator[None]:
    with spending(seconds):
        yield


class Worker:
    """What a batch is worked off by: notes the batches, and can be held."""

    def __init__(self, alone: Callable[[int], int | Exception] = lambda item: item * 10) -> None:
        self.alone = alone
        self.batches: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()
        self.begun = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        self.begun.release()
        assert self.free.wait(SECONDS)
        return [self.alone(item) for item in items]


def batcher(
    work: Callable[[Sequence[int]], Sequence[int | Exception]],
    *,
    max_batch: int = 100,
    key: Callable[[int], int] | None = None,
    admit: Callable[[], AbstractContextManager[None]] = admitted,
) -> Batcher[int, int]:
    return Batcher(work, admit=admit, max_batch=max_batch, key=key)


@contextmanager
def held(worker: Worker, batch: Batcher[int, int]) -> Iterator[ThreadPoolExecutor]:
    """One call, of the item 0, is at the database for as long as the block lasts."""
    with ThreadPoolExecutor(64) as threads:
        worker.free.clear()
        first = threads.submit(batch, 0)
        worker.begun.acquire()
        try:
            yield threads
        finally:
            worker.free.set()
        assert first.result(SECONDS) == 0


def called(threads: ThreadPoolExecutor, batch: Batcher[int, int], *items: int) -> list[Future[int]]:
    """Calls that have come one after another, and wait."""
    calls = []
    for item in items:
        waiting = len(batch._waiting)
        calls.append(threads.submit(batch, item))
        until(lambda waiting=waiting: len(batch._waiting) == waiting + 1)  # type: ignore[misc]
    return calls


def test_an_idle_batcher_works_at_once_and_alone() -> None:
    worker = Worker()
    batch = batcher(worker)
    assert [batch(item) for item in (1, 2, 3)] == [10, 20, 30]
    assert worker.batches == [[1], [2], [3]]


def test_what_comes_meanwhile_is_the_next_batch_in_its_order() -> None:
    worker = Worker()
    batch = batcher(worker)
    with held(worker, batch) as threads:
        calls = called(threads, batch, *range(1, 21))
    assert [call.result() for call in calls] == [item * 10 for item in range(1, 21)]
    assert worker.batches == [[0], list(range(1, 21))]


def test_a_batch_is_bounded_and_nobody_is_left_behind() -> None:
    worker = Worker()
    batch = batcher(worker, max_batch=8)
    with held(worker, batch) as threads:
        calls = called(threads, batch, *range(1, 21))
    assert [call.result() for call in calls] == [item * 10 for item in range(1, 21)]
    assert worker.batches == [[0], list(range(1, 9)), list(range(9, 17)), list(range(17, 21))]


def test_two_items_with_one_key_come_one_after_another() -> None:
    worker = Worker()
    batch = batcher(worker, key=lambda item: item % 10)
    with held(worker, batch) as threads:
        calls = called(threads, batch, 1, 11, 2, 21, 3, 12)
    assert [call.result() for call in calls] == [10, 110, 20, 210, 30, 120]
    assert worker.batches == [[0], [1, 2, 3], [11, 12], [21]]


def test_an_error_that_is_an_answer_is_its_callers_alone() -> None:
    worker = Worker(lambda item: UnknownApiKey(str(item)) if item == 2 else item)
    batch = batcher(worker)
    with held(worker, batch) as threads:
        calls = called(threads, batch, 1, 2, 3)
    assert calls[0].result() == 1
    assert isinstance(calls[1].exception(), UnknownApiKey)
    assert calls[2].result() == 3
    assert len(worker.batches) == 2


def poisoned(item: int) -> int:
    if item == 2:
        raise Poison
    return item


def test_one_bad_item_fails_alone() -> None:
    worker = Worker(poisoned)
    batch = batcher(worker)
    with held(worker, batch) as threads:
        calls = called(threads, batch, 1, 2, 3)
    assert calls[0].result() == 1
    assert isinstance(calls[1].exception(), Poison)
    assert calls[2].result() == 3
    assert worker.batches[:2] == [[0], [1, 2, 3]]
    assert sorted(worker.batches[2:]) == [[1], [2], [3]]


def test_a_database_that_is_away_is_away_for_the_whole_batch() -> None:
    """Each of a hundred asking again would take a hundred time-outs; and a COMMIT without an answer may have been."""

    def away(item: int) -> int:
        if item:
            raise ServiceUnavailable
        return item

    worker = Worker(away)
    batch = batcher(worker)
    with held(worker, batch) as threads:
        calls = called(threads, batch, 1, 2, 3)
    errors = [call.exception() for call in calls]
    assert all(isinstance(error, ServiceUnavailable) for error in errors)
    assert len(set(map(id, errors))) == 3
    assert worker.batches == [[0], [1, 2, 3]]


def test_who_is_in_the_way_of_one_is_not_in_the_way_of_the_others() -> None:
    """Each goes alone then, by its own caller; the one that is blocked holds up neither its batch nor the next."""
    blocked, calls = threading.Event(), []

    def work(items: Sequence[int]) -> list[int | Exception]:
        if 2 in items:
            if len(items) == 1:
                assert blocked.wait(SECONDS)
            raise ServiceUnavailable(undone=True)
        return worker(items)

    worker = Worker()
    batch = batcher(work)
    with held(worker, batch) as threads:
        calls = called(threads, batch, 1, 2, 3)
        worker.free.set()
        assert [calls[0].result(SECONDS), calls[2].result(SECONDS), batch(4)] == [10, 30, 40]
        assert not calls[1].done()
        blocked.set()
        assert isinstance(calls[1].exception(SECONDS), ServiceUnavailable)


def test_one_that_somebody_is_in_the_way_of_holds_up_nobody_though_it_came_first() -> None:
    """All by itself, it leads a batch of one, and those who come meanwhile would stand behind it."""
    blocked = threading.Event()

    def work(items: Sequence[int]) -> list[int]:
        if 1 in items:
            raise ServiceUnavailable(undone=True)
        return [item * 10 for item in items]

    def alone(item: int) -> int:
        if item == 1:
            assert blocked.wait(SECONDS)
            return 100
        return item * 10  # it may have come early enough to be in the first one's batch

    batch = Batcher(work, alone=alone, admit=admitted, max_batch=10)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(batch, 1)
        assert [batch(2), batch(3)] == [20, 30]
        assert not first.done()
        blocked.set()
        assert first.result(SECONDS) == 100


def test_a_wrong_number_of_answers_is_given_to_nobody() -> None:
    batch = batcher(lambda items: [1, 2])
    with pytest.raises(AssertionError):
        batch(1)
    assert not batch._busy


def test_a_callers_deadline_holds_whoever_is_at_the_database() -> None:
    worker = Worker()
    batch = batcher(worker)

    def impatient() -> float:
        started = monotonic()
        with patience(0.1), pytest.raises(ServiceUnavailable):
            batch(1)
        return monotonic() - started

    with held(worker, batch) as threads:
        assert threads.submit(impatient).result(SECONDS) < 5
        assert not batch._waiting
    assert worker.batches == [[0]]
    assert batch(2) == 20


def test_the_most_patient_leads() -> None:
    """Its deadline is the batch's: nobody's call is given up at another's."""
    leaders = []

    def work(items: Sequence[int]) -> Sequence[int]:
        leaders.append(threading.current_thread().name)
        return worker(items)  # type: ignore[return-value]

    worker = Worker()
    batch = batcher(work)

    def patient(item: int, seconds: float) -> int:
        threading.current_thread().name = f"{seconds:.0f} s"
        with patience(seconds):
            return batch(item)

    with held(worker, batch) as threads:
        calls = []
        for item, seconds in ((1, 10.0), (2, 25.0), (3, 15.0)):
            calls.append(threads.submit(patient, item, seconds))
            until(lambda item=item: len(batch._waiting) == item)  # type: ignore[misc]
    assert [call.result() for call in calls] == [10, 20, 30]
    assert leaders[1:] == ["25 s"]


def test_who_is_not_admitted_is_refused_at_once() -> None:
    places = threading.BoundedSemaphore(3)

    @contextmanager
    def admit() -> Iterator[None]:
        if not places.acquire(blocking=False):
            raise ServiceUnavailable
        try:
            with spending(SECONDS):
                yield
        finally:
            places.release()

    worker = Worker()
    batch = batcher(worker, admit=admit)
    with held(worker, batch) as threads:
        calls = called(threads, batch, 1, 2)
        with pytest.raises(ServiceUnavailable):
            batch(3)
    assert [call.result() for call in calls] == [10, 20]


class Killed(BaseException):
    """As a greenlet is killed, or a thread by SystemExit."""


def test_a_leader_that_is_killed_leaves_nobody_waiting() -> None:
    def work(items: Sequence[int]) -> list[int | Exception]:
        if 2 in items:
            worker.batches.append(list(items))
            raise Killed
        return worker(items)

    worker = Worker()
    batch = batcher(work, max_batch=3)
    with held(worker, batch) as threads:
        calls = called(threads, batch, 1, 2, 3, 4, 5)
    outcomes = [call.exception() for call in calls]
    assert Counter(type(outcome).__name__ for outcome in outcomes[:3]) + Counter() in (
        Counter(ServiceUnavailable=3),  # one of the other batch led it
        Counter(ServiceUnavailable=2, Killed=1),
    )
    assert [call.exception() or call.result() for call in calls if not call.exception()] in ([40, 50], [40], [50])
    assert not batch._busy
    assert batch(7) == 70


def test_one_who_is_to_lead_and_gives_up_passes_it_on() -> None:
    worker = Worker()
    batch = batcher(worker)
    with held(worker, batch) as threads:
        (call,) = called(threads, batch, 1)
        with batch._lock:
            told = batch._waiting[0]
            told.leads = True  # as if it had been told at the very moment of its deadline
        batch._withdraw(told)
        assert not batch._busy
        batch._busy = True  # the held one still is
        told.answer(ServiceUnavailable())
        assert isinstance(call.exception(), ServiceUnavailable)
    assert batch(2) == 20


CALLS = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(calls=CALLS, max_batch=st.integers(1, 12), keyed=st.booleans())
def test_any_calls_are_answered_as_if_each_had_come_alone(
    calls: list[tuple[int, bool]], max_batch: int, keyed: bool
) -> None:
    """With a key: as if those with the same one had come one after another, in some order, each on what was left."""
    state: Counter[int] = Counter()

    def work(items: Sequence[tuple[int, bool]]) -> list[int | Exception]:
        assert len(items) <= max_batch
        if keyed:
            assert len({item for item, _ in items}) == len(items)
        if any(bad for _, bad in items):
            raise Poison
        answers: list[int | Exception] = []
        for item, _ in items:
            state[item] += 1
            answers.append(state[item])
        return answers

    batch: Batcher[tuple[int, bool], int] = Batcher(
        work, admit=admitted, max_batch=max_batch, key=(lambda item: item[0]) if keyed else None
    )
    with ThreadPoolExecutor(len(calls)) as threads:
        futures = [threads.submit(batch, call) for call in calls]
    counted: dict[int, list[int]] = {}
    for (item, bad), future in zip(calls, futures, strict=True):
        assert isinstance(future.exception(), Poison) is bad
        if not bad:
            counted.setdefault(item, []).append(future.result())
    for answers in counted.values():
        assert sorted(answers) == list(range(1, len(answers) + 1))


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import gevent, sys, time
sys.path.insert(0, ".")
from app.store.batcher import Batcher
from tests.store.test_batcher import admitted
sizes = []
def work(items):
    sizes.append(len(items))
    time.sleep(0.001)
    return [item * 10 for item in items]
batch = Batcher(work, admit=admitted, max_batch=100)
def client(number):
    for turn in range(20):
        assert batch(number * 100 + turn) == (number * 100 + turn) * 10
clients = [gevent.spawn(client, number) for number in range(50)]
doomed = [gevent.spawn(batch, 7) for _ in range(20)]
gevent.sleep(0.0005)
gevent.killall(doomed)
gevent.joinall(clients, timeout=30, raise_error=True)
assert all(client.successful() for client in clients)
assert not batch._busy and not batch._waiting
print(sum(sizes), len(sizes))
"""


def test_greenlets_do_for_threads_and_fill_the_batches() -> None:
    run = [sys.executable, "-W", "error", "-c", GREENLETS]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    items, batches = map(int, done.stdout.split())
    assert items >= 1000
    assert batches <= items / 10
