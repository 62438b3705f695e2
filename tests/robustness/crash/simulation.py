"""Histories of a correct server under crashes, without one: for the tests of the checker.

Clients, and calls that take their time, fail, and have their effect all the same, or much later; the server is the
domain's own rules. A defect can be planted in it: then the checker must find something.
"""

import heapq
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from tests.robustness.crash.engine import Engine, Measurement
from tests.robustness.crash.history import Call, History, Kind
from tests.robustness.crash.record import Record

_CHANCE_UNKNOWN = 0.15
_LATE = 300  # how long after it a call of unknown outcome may still have its effect
_PAUSE = 20
_POLL = 5  # between two looks of the server's for one who waits
_PATIENCE = 200
_CHANCE_WAIT = 0.2  # rather than a check
_CHANCE_PROCESSED = 0.6  # anything, before a measurement


@dataclass(frozen=True, slots=True)
class Request:
    """A call to be made: what is recorded of it at its beginning, and what it does to the server."""

    fields: dict[str, Any]
    effect: Callable[[], dict[str, Any]]
    patience: int = 0  # how long it is done again and again, for as long as its answer is *in progress*


Client = Generator[Request | int, Call, None]
"""Makes a call, and is told how it ended; or waits so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What connector is simulated."""

    components: tuple[str, ...] = ("",)
    synchronous: bool = False
    restarts: float = 0.0  # chance at each report
    removals: float = 0.0


@dataclass(slots=True)
class Simulation:
    """One connector, its clients and its server; time passes from event to event."""

    chance: random.Random
    shape: Shape
    record: Record = field(default_factory=Record)
    crash_every: int = 0  # 0: never
    now: int = 0
    history: History = field(init=False)
    engine: Engine = field(init=False)
    issued: list[str] = field(default_factory=list)
    _events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _turn: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self.history = History(clock=lambda: self.now)
        self.engine = Engine("p.t.c", self.shape.components, self.history)

    def play(self, until: int) -> History:
        """The history up to that moment; what goes on then is of unknown outcome."""
        reporters = [self._committer()] if self.shape.synchronous else [self._reporter(), self._reporter()]
        for client in (*reporters, self._asker(), self._asker(), self._asker()):
            self._after(self.chance.randint(0, _PAUSE), client, None)
        if self.crash_every:
            self._at(self.crash_every, self._crash)
        while self._events and self._events[0][0] <= until:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        return self.history

    # time

    def _at(self, moment: int, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._turn), happen))

    def _after(self, delay: int, client: Client, told: Call | None) -> None:
        self._at(self.now + delay, lambda: self._go_on(client, told))

    def _go_on(self, client: Client, told: Call | None) -> None:
        asked = client.send(told)  # type: ignore[arg-type]  # None is what starts a generator
        if isinstance(asked, int):
            self._after(asked, client, told)
        else:
            self._call(asked, client)

    def _call(self, request: Request, client: Client) -> None:
        place = self.history.begin(**request.fields)
        arrives = self.now + self.chance.randint(0, _PAUSE)
        if self.chance.random() >= _CHANCE_UNKNOWN:
            self._at(arrives, lambda: self._answer(request, client, place, arrives + request.patience))
            return
        if self.chance.random() < 0.5:
            self._at(arrives + self.chance.randint(0, _LATE), lambda: _do(request))
        status = self.chance.choice((None, 503))
        self._at(arrives + self.chance.randint(0, _PAUSE), lambda: self._end(client, place, {"status": status}))

    def _answer(self, request: Request, client: Client, place: int, until: int) -> None:
        told = request.effect()
        if told["status"] == 202 and self.now < until:
            self._at(self.now + _POLL, lambda: self._answer(request, client, place, until))
            return
        self._at(self.now + self.chance.randint(0, _PAUSE), lambda: self._end(client, place, told))

    def _end(self, client: Client, place: int, told: dict[str, Any]) -> None:
        self._go_on(client, self.history.end(place, **told))

    def _crash(self) -> None:
        self.record.crash()
        self._at(self.now + self.crash_every, self._crash)

    # clients

    def _request(self, kind: Kind, effect: Callable[[], dict[str, Any]], **fields: Any) -> Request:
        return Request({"client": "c", "kind": kind, "connector": self.engine.connector, **fields}, effect)

    def _report(self, measured: Measurement | None, if_match: int | None) -> Request:
        fields: dict[str, Any] = {"if_match": if_match, "synchronous": self.shape.synchronous}
        if measured is not None:
            fields |= {"label": measured.label, "received": measured.received, "completed": measured.completed}
        return self._request(Kind.REPORT, lambda: self.record.report(measured, if_match), **fields)

    def _reporter(self) -> Client:
        chance = self.chance
        while True:
            seen = yield self._request(Kind.READ, self.record.read)
            version = (seen.version or 0) if seen.known else None
            while version is not None:
                if version and chance.random() < self.shape.removals:
                    yield self._request(Kind.REMOVE, self.record.remove)
                    break
                self._live()
                measured = None if version and chance.random() < 0.1 else self.engine.measure()
                yield chance.randint(0, _PAUSE)
                told = yield self._report(measured, version)
                version = told.version if told.known else None

    def _live(self) -> None:
        if self.chance.random() < self.shape.restarts:
            self.engine.restart()
        self.engine.arrive(self.chance)
        if self.chance.random() < _CHANCE_PROCESSED:
            self.engine.process(self.chance)

    def _committer(self) -> Client:
        attempted = dict(self.engine.measure().received)
        while True:
            self.engine.process(self.chance)
            proposed = self.engine.proposed(attempted, self.chance)
            attempted = proposed.received
            told = yield self._report(proposed, None)
            if told.acknowledged:
                self.engine.take(proposed.received)
            yield self.chance.randint(0, _PAUSE)

    def _asker(self) -> Client:
        while True:
            if not self.shape.synchronous and self.chance.random() < 0.5:
                self.engine.arrive(self.chance)
            if self.issued and self.chance.random() < 0.7:
                yield self._check(self.chance.choice(self.issued[-8:]))
            elif self.chance.random() < 0.3:
                yield self._request(Kind.READ, self.record.read)
            else:
                told = yield self._request(Kind.ISSUE, self.record.issue)
                if told.acknowledged and told.token:
                    self.issued.append(told.token)
            yield self.chance.randint(0, _PAUSE)

    def _check(self, token: str) -> Request:
        check = self._request(Kind.CHECK, lambda: self.record.check(token), token=token)
        if self.chance.random() >= _CHANCE_WAIT:
            return check
        waiting = {"wait": next(self._turn), "until": "all"}
        return replace(check, fields=check.fields | waiting, patience=self.chance.randint(0, _PATIENCE))


def _do(request: Request) -> None:
    request.effect()
