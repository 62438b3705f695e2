"""The newest transitions, read by one thread of this process for all who follow them."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from threading import Event, Lock, Thread
from time import sleep
from uuid import UUID

from app.domain.errors import ServiceUnavailable
from app.domain.event_order import EventPlace
from app.store.events import EventQuery, Page

_log = logging.getLogger(__name__)

_PAGE = 500  # transitions that are kept for a follower who has not taken them yet, at most
_LEAST_PAGE = 25  # the same, when many read from different places
_AT_A_TIME = 10_000  # transitions that one look is to find, at most
_RECHECK_SECONDS = 1.0  # about how late a transition may be told of, should every notification be lost
_JITTER_SECONDS = 0.15  # so that the processes of many servers do not look all at once
_LEAST_PAUSE_SECONDS = 0.05  # between two looks, however many notifications ask for one

Read = Callable[[Sequence[EventQuery], int], Sequence[Page]]


class Tail:
    """Reads what is behind the places of all followers, in one statement, again and again while there are any.

    Those who have taken all there was share a place; one who resumes, or is slow, has a place of its own until it has
    caught up. So there is no moment at which it would have to join the others, and could miss something.
    A notification is only a hint to look soon. Followers hold no connection to the database, and no more than a page.
    Only `threading`'s primitives are used, so that greenlets will do for threads.
    """

    def __init__(self, read: Read) -> None:
        """``read`` gives a page of so many for each query; it may raise ServiceUnavailable."""
        self._read = read
        self._lock = Lock()  # held for moments only, never at the database
        self._followers: set[Follower] = set()
        self._thread: Thread | None = None
        self._hurry = Event()
        self._random = Random()  # noqa: S311 - no secret

    @contextmanager
    def follow(self, tenant: UUID, place: EventPlace, wake: Callable[[], object]) -> "Iterator[Follower]":
        """Somebody who follows the tenant's transitions behind the place; ``wake`` is called when there is a page."""
        follower = Follower(tenant, place, wake, self.hurry)
        with self._lock:
            self._followers.add(follower)
            if self._thread is None:
                self._start()
        self.hurry()
        try:
            yield follower
        finally:
            with self._lock:
                self._followers.remove(follower)

    def hurry(self) -> None:
        """There may be something to read, or somebody who has room for it."""
        self._hurry.set()

    def _start(self) -> None:
        self._thread = Thread(target=self._run, name="tail", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        hurried = True
        while self._is_needed():
            try:
                self._look()
            except ServiceUnavailable:
                _log.warning("transitions could not be read: the database does not answer")
            except Exception:
                _log.exception("transitions could not be read")
            hurried = self._pause(short=hurried)

    def _is_needed(self) -> bool:
        with self._lock:
            if not self._followers:
                self._thread = None
            return bool(self._followers)

    def _pause(self, *, short: bool) -> bool:
        """Ends when it is time to look again; answers whether because somebody hurries.

        It is time twice then: what was notified of may stand behind a transaction that ends a moment later.
        """
        sleep(_LEAST_PAUSE_SECONDS)
        jitter = self._random.uniform(-_JITTER_SECONDS, _JITTER_SECONDS)
        usual = _RECHECK_SECONDS - _LEAST_PAUSE_SECONDS + jitter
        hurried = self._hurry.wait(0 if short else usual)
        self._hurry.clear()
        return hurried

    def _look(self) -> None:
        waiting: dict[EventQuery, list[Follower]] = defaultdict(list)
        with self._lock:
            for follower in self._followers:
                if follower.has_room:
                    waiting[EventQuery(follower.tenant, follower.place)].append(follower)
        if not waiting:
            return
        limit = min(_PAGE, max(_LEAST_PAGE, _AT_A_TIME // len(waiting)))
        for followers, page in zip(waiting.values(), self._read(list(waiting), limit), strict=True):
            for follower in followers:
                follower.offer(page)


class Follower:
    """One who follows, and the page it has not taken yet; an empty one tells how far there is nothing."""

    __slots__ = ("_hurry", "_lock", "_page", "_wake", "place", "tenant")

    def __init__(
        self, tenant: UUID, place: EventPlace, wake: Callable[[], object], hurry: Callable[[], object]
    ) -> None:
        self.tenant = tenant
        self.place = place  # behind which is read on
        self._page: Page | None = None
        self._lock = Lock()
        self._wake, self._hurry = wake, hurry

    @property
    def has_room(self) -> bool:
        """Whether it can be offered a page."""
        return self._page is None or not self._page.events

    def offer(self, page: Page) -> None:
        """Gives it what is behind its place; for the tail, and only where there is room."""
        with self._lock:
            self._page = page
            self.place = page.events[-1].place if page.events else self.place
        if page.events:
            self._wake()

    def take(self) -> Page | None:
        """What is behind the page taken before; None: nothing has been looked up since."""
        with self._lock:
            page, self._page = self._page, None
        if page is not None and not page.is_last:
            self._hurry()
        return page
