"""Those of this process who wait for tokens, and what wakes them (design §2, Issue, check, wait)."""

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from threading import Event, Lock, Thread
from uuid import UUID

from sqlalchemy import Engine

from app import metrics
from app.domain.errors import ServiceUnavailable
from app.domain.waiting import Need, Standing, easiest
from app.services.seats import Seats
from app.store import standings
from app.store.engine import run
from app.store.listener import Listener

_log = logging.getLogger(__name__)

RECHECK_SECONDS = 1.0
"""How long a waiter sleeps at most past the moment it waits for, should every notification be lost."""

_LEAST_PAUSE_SECONDS = 0.6  # between two looks at the database, however many notifications ask for one
_JITTER_SECONDS = 0.3  # so that the processes of many servers do not look all at once
_NEVER = 2**63 - 1  # a version that no connector gets to: only the end of the epoch settles a need of it
_AT_A_TIME = 500  # clients whose connections are looked at before others get their turn
_TURN_SECONDS = 0.001  # for 0 s, a greenlet sleeps a hundred milliseconds of its work long before a socket is looked at

Registry = dict[UUID, dict[Need | None, set["Waiter"]]]
"""Who waits for what of a connector; None: for anything that is heard of it."""


class Waiters:
    """Wakes those who wait when the connectors that they wait for have moved.

    Notifications wake them at once. Because these can be lost, a thread looks up where all those connectors stand about
    once a second, in one statement however many wait. Neither is believed: whoever is woken looks for himself.
    Sleepers hold no connection to the database, nor anything else that is scarce. Only `threading`'s primitives are
    used, so that greenlets will do for threads, and nothing is started before somebody waits.
    """

    def __init__(self, engine: Engine, url: str, seats: Seats) -> None:
        """``seats`` are of those who wait; ``url`` is where to listen."""
        self._engine = engine
        self._seats = seats
        self._lock = Lock()  # held for moments only, never at the database
        self._waiting: set[Waiter] = set()
        self._registry: Registry = {}
        self._hurry = Event()
        self._random = Random()  # noqa: S311 - no secret
        self._listener = Listener(url, [standings.MOVED_CHANNEL], self._on_notify, self._on_gap)
        self._thread: Thread | None = None
        self.on_heard: Callable[[], object] = lambda: None  # called when a notification has come, or may have been lost
        self.closing = False  # whether nobody is to wait any longer, since the process is about to end

    @contextmanager
    def admit(self, holder: Hashable | None, hung_up: Callable[[], bool]) -> "Iterator[Waiter]":
        """Somebody who may wait for as long as the block lasts.

        ``holder`` is the credential that this counts against, if any; ``hung_up`` tells whether the client has gone.
        Raises TooManyRequests.
        """
        with self._seats.taken(holder):
            waiter = Waiter(self._registry, self._lock, hung_up)
            with self._lock:
                self._waiting.add(waiter)
                if self._thread is None and not self.closing:
                    self._start()
            if self.closing:  # not `ended = closing`: between its two halves `close` may end the waiter
                waiter.end()
            try:
                yield waiter
            finally:
                waiter.leave()
                with self._lock:
                    self._waiting.discard(waiter)

    @property
    def number(self) -> int:
        """How many wait."""
        return self._seats.number

    def close(self) -> None:
        """Wakes everybody, so that each looks once more and goes; nobody sleeps from now on."""
        self.closing = True
        with self._lock:
            waiting = list(self._waiting)
        for waiter in waiting:
            waiter.end()
        self._hurry.set()

    def tell(self, standing: Standing) -> None:
        """Wakes those who wait for what this settles, or for anything of that connector."""
        with self._lock:
            groups = self._registry.get(standing.connector_id, {})
            for waiter in groups.get(None, ()):
                waiter.hear(standing)
            for need in [need for need in groups if need is not None and standing.settles(need)]:
                for waiter in groups.pop(need):
                    waiter.settle(need, lost=standing.epoch_number != need.epoch_number)
            if not groups:
                self._registry.pop(standing.connector_id, None)

    def _start(self) -> None:
        self._listener.start()
        self._thread = Thread(target=self._look_again_and_again, name="waiters", daemon=True)
        self._thread.start()

    def _on_notify(self, channel: str, payload: str) -> None:
        try:
            told = standings.parse(payload)
        except ValueError:  # anybody may notify anything
            told = []
        for standing in told:
            self.tell(standing)
        if not told:
            self._hurry.set()
        self.on_heard()

    def _on_gap(self) -> None:
        self._hurry.set()
        self.on_heard()

    def _look_again_and_again(self) -> None:
        metrics.succeeded("waiters")
        while not self.closing:
            time.sleep(_LEAST_PAUSE_SECONDS)
            rest = RECHECK_SECONDS - _LEAST_PAUSE_SECONDS
            self._hurry.wait(self._random.uniform(rest - _JITTER_SECONDS, rest))
            self._hurry.clear()
            try:
                self._look()
                self._forget_the_gone()
                metrics.succeeded("waiters")
            except ServiceUnavailable:
                _log.warning("waiters could not be looked after: the database does not answer")
            except Exception:
                _log.exception("waiters could not be looked after")
        self._listener.close()

    def _look(self) -> None:
        with self._lock:
            needs = {connector: easiest(groups) for connector, groups in self._registry.items()}
        if needs:
            for standing in run(self._engine, lambda connection: standings.read(connection, needs)):
                self.tell(standing)

    def _forget_the_gone(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        for place, waiter in enumerate(waiting, start=1):
            if waiter.hung_up():
                waiter.end()
            if place % _AT_A_TIME == 0:
                time.sleep(_TURN_SECONDS)


class Waiter:
    """One who waits. First it listens, then it looks at the database, then it sleeps until what it needs is settled."""

    __slots__ = ("_event", "_heard", "_left", "_lock", "_places", "_registry", "ended", "hung_up")

    def __init__(self, registry: Registry, lock: Lock, hung_up: Callable[[], bool]) -> None:
        self._registry, self._lock = registry, lock
        self._places: list[tuple[UUID, Need | None]] = []  # in the registry
        self._heard: list[Standing] = []
        self._left = 0  # needs to be settled before it is woken
        self._event = Event()
        self.hung_up = hung_up
        self.ended = False  # whether there is no use in waiting any longer: the client has gone, or the process will

    def listen(self, connectors: Iterable[UUID]) -> None:
        """From now on nothing that is heard of these connectors is missed; until `need`, any of it ends a sleep."""
        with self._lock:
            self._leave()
            self._heard = []
            self._event.clear()
            for connector in set(connectors):
                self._enter(connector, None)

    def need(self, needs: Iterable[Need], *, enough: int) -> None:
        """From now on a sleep lasts until ``enough`` of the needs, all different, are settled, or an epoch has ended.

        What was heard since `listen` counts.
        """
        with self._lock:
            self._leave()
            self._left = enough
            self._event.clear()
            for need in needs:
                settling = [
                    each for each in self._heard if each.connector_id == need.connector_id and each.settles(need)
                ]
                if settling:
                    self.settle(need, lost=any(each.epoch_number != need.epoch_number for each in settling))
                else:
                    self._enter(need.connector_id, need)

    def sleep(self, seconds: float) -> None:
        """Sleeps until it is woken, or for so long."""
        if not self.ended:
            self._event.wait(max(0.0, seconds))

    def wake(self) -> None:
        """Ends its sleep."""
        self._event.set()

    def calm(self) -> bool:
        """From now on a sleep lasts until it is woken anew; answers whether what it needs is settled."""
        with self._lock:
            self._event.clear()
            return self._left <= 0

    def end(self) -> None:
        """Wakes it, for good."""
        self.ended = True
        self._event.set()

    def hear(self, standing: Standing) -> None:
        """Takes note of where one of its connectors stands; under the lock."""
        self._heard.append(standing)
        self._event.set()

    def settle(self, need: Need, *, lost: bool) -> None:
        """One of its needs is settled; under the lock. While it waits for more, a removal may yet take that back."""
        self._left = 0 if lost else self._left - 1
        if self._left <= 0:
            self._event.set()
        else:
            self._enter(need.connector_id, replace(need, binding=_NEVER))

    def leave(self) -> None:
        """Nothing is to be heard any longer."""
        with self._lock:
            self._leave()

    def _enter(self, connector: UUID, need: Need | None) -> None:
        self._registry.setdefault(connector, {}).setdefault(need, set()).add(self)
        self._places.append((connector, need))

    def _leave(self) -> None:
        for connector, need in self._places:
            groups = self._registry.get(connector, {})
            group = groups.get(need, set())
            group.discard(self)
            if not group:
                groups.pop(need, None)
            if not groups:
                self._registry.pop(connector, None)
        self._places = []
