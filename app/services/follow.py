"""Streams of events: transitions of connectors, and what becomes of tokens (docs/events.md)."""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Engine

from app.domain.errors import ServiceUnavailable
from app.domain.event_order import Cursor
from app.domain.subscription import Subscription
from app.services.authenticate import KeyWatch
from app.services.check import Asked, check
from app.services.seats import Seats
from app.services.tail import Follower, Tail
from app.services.wait import Outcome, need_of
from app.services.waiters import Waiter, Waiters
from app.store.engine import run
from app.store.events import EventQuery, Page, RecordedEvent, read_events, read_newest

HEARTBEAT_SECONDS = 15.0
RESUMABLE = timedelta(hours=1)
"""How old an id may be for a stream to go on from there."""

_RETRY_SECONDS = 1.0  # until tokens are looked at again, when the database did not answer


@dataclass(frozen=True, slots=True)
class Settled:
    """A token that is in progress no longer."""

    token: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Reset:
    """The id that the stream was to go on from is too old: transitions since then are not told."""


Told = tuple[RecordedEvent | Settled | Reset | None, Cursor]
"""What happened, and the cursor behind it. None: nothing; the stream is alive, and has come as far as that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who follows."""

    holder: Hashable | None  # the credential that the stream counts against
    key: str | None  # the id of the API key with whose end the stream ends; None: there is none
    expires_at: float  # when its access token ends, and the stream with it: seconds since 1970; infinite: never
    hung_up: Callable[[], bool]  # whether the client has gone


class Streams:
    """All streams of this process."""

    def __init__(self, engine: Engine, waiters: Waiters, keys: KeyWatch, seats: Seats, *, retention: timedelta) -> None:
        self._engine = engine
        self._waiters = waiters
        self._keys = keys
        self._seats = seats
        self._retention = retention
        self._tail = Tail(self._read)
        waiters.on_heard = self._tail.hurry

    @contextmanager
    def open(self, subscription: Subscription, resumed: Cursor | None, client: Client) -> "Iterator[Stream]":
        """A stream that goes on from the cursor, or begins now: it tells of all that is recorded from here on.

        And of what was recorded before, if another transaction still holds it back. Raises TooManyRequests and
        ServiceUnavailable.
        """
        with ExitStack() as held:
            held.enter_context(self._seats.taken(client.holder))
            waiter = held.enter_context(self._waiters.admit(client.holder, client.hung_up))
            is_valid = held.enter_context(self._keys.watching(client.key))
            cursor, is_reset = self._start(subscription, resumed)
            follower = None
            if subscription.transitions:
                follower = held.enter_context(self._tail.follow(subscription.tenant, cursor.place, waiter.wake))
            yield Stream(
                subscription=subscription,
                cursor=cursor,
                is_reset=is_reset,
                waiter=waiter,
                follower=follower,
                check=self._check,
                is_allowed=lambda: is_valid() and time.time() < client.expires_at,
            )

    @property
    def number(self) -> int:
        """How many are open."""
        return self._seats.number

    def _start(self, subscription: Subscription, resumed: Cursor | None) -> tuple[Cursor, bool]:
        """Where to begin, and whether something was missed."""
        newest = run(self._engine, lambda connection: read_newest(connection, subscription.tenant))
        begun = Cursor(query=subscription.digest, made_at=_seconds(newest.now), place=newest.place)
        if resumed is None:
            return begun, False
        is_too_old = begun.made_at - resumed.made_at > RESUMABLE.total_seconds()
        # The database that this one is a copy of may have gone further.
        if subscription.transitions and (is_too_old or resumed.place.xid >= newest.horizon):
            return replace(begun, told=resumed.told), True
        return resumed, False

    def _read(self, queries: Sequence[EventQuery], limit: int) -> list[Page]:
        return run(self._engine, partial(read_events, queries=queries, limit=limit))

    def _check(self, asked: Sequence[Asked]) -> Sequence[Outcome]:
        return run(self._engine, partial(check, asked=asked, retention=self._retention))


@dataclass(slots=True, kw_only=True)
class Stream:
    """One client's stream, to be gone through once. Each look at the database is as patient as a request."""

    subscription: Subscription
    cursor: Cursor
    is_reset: bool
    waiter: Waiter
    follower: Follower | None  # None: of tokens only
    check: Callable[[Sequence[Asked]], Sequence[Outcome]]
    is_allowed: Callable[[], bool]
    is_unsure: bool = False  # whether tokens are to be looked at again, for the database did not answer

    def __iter__(self) -> Iterator[Told]:
        """Ends when all is told, the client has gone, its credential is no longer valid, or the process is to end."""
        yield Reset() if self.is_reset else None, self.cursor
        beat = time.monotonic() + HEARTBEAT_SECONDS
        while True:
            has_settled = self.waiter.calm()  # whatever comes from now on ends the sleep
            if has_settled or self.is_unsure:
                yield from self._settled()
            yield from self._transitions()
            if self.waiter.ended or self.subscription.is_over(self.cursor.told):
                return
            if time.monotonic() >= beat:
                if not self.is_allowed():
                    return
                yield None, self.cursor
                beat = time.monotonic() + HEARTBEAT_SECONDS
            rest = beat - time.monotonic()
            self.waiter.sleep(min(rest, _RETRY_SECONDS) if self.is_unsure else rest)

    def _settled(self) -> Iterator[Told]:
        """Looks at the tokens that have not been told of."""
        tokens = self.subscription.tokens
        pending = {
            place: Asked(self.subscription.tenant, None, token)
            for place, token in enumerate(tokens)
            if not self.cursor.told >> place & 1
        }
        if not pending:
            return
        self.waiter.listen(token.connector_id for asked in pending.values() if (token := asked.id))
        try:
            outcomes = dict(zip(pending, self.check(list(pending.values())), strict=True))
            self.is_unsure = False
        except ServiceUnavailable:
            self.is_unsure = True
            return
        needs = {place: need for place, each in outcomes.items() if (need := need_of(pending[place].id, each))}
        self.waiter.need(set(needs.values()), enough=1)
        for place in outcomes.keys() - needs.keys():
            self.cursor = replace(self.cursor, told=self.cursor.told | 1 << place)
            yield Settled(tokens[place], outcomes[place]), self.cursor

    def _transitions(self) -> Iterator[Told]:
        page = self.follower.take() if self.follower else None
        if page is None:
            return
        self.cursor = replace(self.cursor, made_at=_seconds(page.now))
        for event in page.events:
            if self.waiter.ended:  # the rest is told to whoever comes back
                return
            if self.subscription.covers(event.pipeline, event.table, event.connector):
                self.cursor = replace(self.cursor, place=event.place)
                yield event, self.cursor
        if page.events:
            self.cursor = replace(self.cursor, place=page.events[-1].place)


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())
