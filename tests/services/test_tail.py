"""The one reader for all who follow: each is told all that is recorded behind his place, once and in order."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import ServiceUnavailable
from app.domain.event_order import BEGINNING, EventPlace
from app.services import tail
from app.services.tail import Follower, Tail
from app.store.events import EventQuery, Page, RecordedEvent
from tests.serving import until

A, B = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 3


class Events:
    """What the database holds, and how it answers."""

    def __init__(self) -> None:
        self.recorded: dict[UUID, list[RecordedEvent]] = defaultdict(list)
        self.xid = 1
        self.asked: list[list[EventQuery]] = []
        self.before_answer: Callable[[], object] = lambda: None

    def record(self, tenant: UUID) -> None:
        self.xid += 1
        place = EventPlace(self.xid, tenant, 1, "paused")
        event = RecordedEvent(place=place, pipeline="p", table="t", connector="c", at=NOW, details={})
        self.recorded[tenant].append(event)

    def read(self, queries: Sequence[EventQuery], limit: int) -> list[Page]:
        self.asked.append(list(queries))
        pages = [self._page(query, min(limit, PAGE)) for query in queries]
        self.before_answer()
        return pages

    def _page(self, query: EventQuery, limit: int) -> Page:
        behind = [event for event in self.recorded[query.tenant] if event.place > query.after]
        is_last = len(behind) < limit
        return Page(events=behind[:limit], is_last=is_last, now=NOW)


class Still(Tail):
    """A tail that looks only when it is told to."""

    def _start(self) -> None:
        pass


class Reading:
    """One who follows, where he began, and what he has been told."""

    def __init__(self, follower: Follower) -> None:
        self.follower, self.begun = follower, follower.place
        self.told: list[RecordedEvent] = []

    @property
    def place(self) -> EventPlace:
        return self.told[-1].place if self.told else self.begun

    def take(self) -> bool:
        """Whether there was anything."""
        page = self.follower.take()
        if page is None:
            return False
        assert len(page.events) <= PAGE
        self.told += page.events
        return True


class World:
    """A tail, those who follow, and the events."""

    def __init__(self) -> None:
        self.events, self.held = Events(), ExitStack()
        self.tail = Still(self.events.read)
        self.readings: list[Reading] = []

    def follow(self, tenant: UUID, xid: int) -> None:
        place = EventPlace(min(xid, self.events.xid), UUID(int=9), 0, "")
        self.readings.append(Reading(self.held.enter_context(self.tail.follow(tenant, place, lambda: None))))

    def take(self, number: int) -> None:
        if self.readings:
            self.readings[number % len(self.readings)].take()

    def look_while(self, meanwhile: "tuple[Step, ...]") -> None:
        """A look, during which other things happen."""
        self.events.before_answer = lambda: [step(self) for step in meanwhile]
        self.tail._look()
        self.events.before_answer = lambda: None

    def check(self) -> None:
        for each in self.readings:
            recorded = self.events.recorded[each.follower.tenant]
            assert each.told == [event for event in recorded if each.begun < event.place <= each.place]

    def finish(self) -> None:
        for _ in range(30):
            self.tail._look()
            for each in self.readings:
                each.take()
            self.check()
        for each in self.readings:
            recorded = self.events.recorded[each.follower.tenant]
            assert each.told == [event for event in recorded if event.place > each.begun]


Step = Callable[[World], None]


def recording(tenant: UUID) -> Step:
    return lambda world: world.events.record(tenant)


def following(tenant: UUID, xid: int) -> Step:
    return lambda world: world.follow(tenant, xid)


def taking(number: int) -> Step:
    return lambda world: world.take(number)


def looking(*meanwhile: Step) -> Step:
    return lambda world: world.look_while(meanwhile)


TENANTS = st.sampled_from([A, B])
QUICK = st.one_of(
    st.builds(recording, TENANTS),
    st.builds(following, TENANTS, st.integers(0, 20)),
    st.builds(taking, st.integers(0, 9)),
)
STEPS = st.lists(st.one_of(QUICK, st.builds(looking, QUICK, QUICK), st.just(looking())), max_size=40)


@settings(report_multiple_bugs=False)
@given(STEPS)
def test_each_is_told_all_behind_his_place_once_and_in_order(steps: list[Step]) -> None:
    """Whoever follows from wherever, takes his page or does not, while others record and look."""
    world = World()
    with world.held:
        for step in steps:
            step(world)
            world.check()
        world.finish()


def _offered_without_room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Follower, "has_room", property(lambda _: True))


def _place_stays(patch: pytest.MonkeyPatch) -> None:
    honest = Follower.offer

    def offer(self: Follower, page: Page) -> None:
        place = self.place
        honest(self, page)
        self.place = place if page.events else self.place

    patch.setattr(Follower, "offer", offer)


def _all_read_from_the_newest_place(patch: pytest.MonkeyPatch) -> None:
    honest = Still._look

    def look(self: Still) -> None:
        for follower in self._followers:
            follower.place = max(each.place for each in self._followers if each.tenant == follower.tenant)
        honest(self)

    patch.setattr(Still, "_look", look)


@pytest.mark.parametrize("plant", [_offered_without_room, _place_stays, _all_read_from_the_newest_place])
def test_a_planted_defect_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        test_each_is_told_all_behind_his_place_once_and_in_order()


def test_those_at_the_same_place_are_read_for_once_and_those_with_a_page_not_at_all() -> None:
    world = World()
    with world.held:
        for tenant in (A, A, A, B):
            world.follow(tenant, 1)
        world.events.record(A)
        world.tail._look()
        assert [len(queries) for queries in world.events.asked] == [2]
        world.events.record(A)
        world.tail._look()
        assert [query.tenant for query in world.events.asked[1]] == [B]
        for number in (0, 1):
            world.take(number)
        world.tail._look()
        assert sorted(query.tenant for query in world.events.asked[2]) == [A, B]


# with its thread


@contextmanager
def followed(events: Events, number: int = 1) -> Iterator[tuple[Tail, list[threading.Event]]]:
    """A tail that so many follow, and what wakes each of them."""
    woken = [threading.Event() for _ in range(number)]
    with ExitStack() as held:
        made = Tail(events.read)
        for each in woken:
            held.enter_context(made.follow(A, BEGINNING, each.set))
        yield made, woken


def test_whoever_has_a_page_is_woken_without_any_notification() -> None:
    events = Events()
    with followed(events, 3) as (_, woken):
        until(lambda: len(events.asked) >= 3)
        assert not any(each.is_set() for each in woken), "there is nothing yet"
        events.record(A)
        assert all(each.wait(10) for each in woken)


def test_an_error_costs_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_RECHECK_SECONDS", 0.2)
    events, errors = Events(), [ServiceUnavailable(), ValueError("a defect")]

    def fail() -> None:
        if errors:
            raise errors.pop()

    events.before_answer = fail
    events.record(A)
    with followed(events) as (_, (woken,)):
        assert woken.wait(10)
    assert not errors


def test_there_is_a_thread_while_somebody_follows() -> None:
    events = Events()
    for _ in range(3):
        with followed(events, 2) as (made, _):
            assert made._thread is not None
            assert made._thread.is_alive()
            thread = made._thread
            events.asked.clear()
            until(lambda: bool(events.asked))
        thread.join(10)
        assert not thread.is_alive()
        assert made._thread is None


def test_hints_however_many_cost_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It pauses between looks, and then looks twice."""
    slept: list[float] = []
    monkeypatch.setattr(tail, "sleep", slept.append)
    made = Still(Events().read)
    made.hurry()
    assert made._pause(short=False)
    made.hurry()
    assert made._pause(short=True)
    assert not made._pause(short=True)
    assert slept == [tail._LEAST_PAUSE_SECONDS] * 3
