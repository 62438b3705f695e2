"""What requests leave behind to be written a moment later: the hours in which keys were used, and who was denied."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from uuid import UUID

from sqlalchemy import Connection, Engine

from app.domain.audit import Action
from app.domain.errors import ServiceUnavailable
from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Principal
from app.store import audit, keys
from app.store.engine import transact

_log = logging.getLogger(__name__)

WRITE_SECONDS = 60.0
"""How long a process lets denials add up before it writes them once more; the first of them are written at once."""

MOST_DENIALS = 10
"""How many kinds of a tenant's denials a process writes at a time, at most; its others are counted together.

Of those whose tenant is not known there may be as many: whoever has no credential can hide no one who has.
"""

_OTHERS = "others"
_COLLECT_SECONDS = 1.0  # so that what comes together is written together
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """What somebody was not let do; those that are equal are counted, and written as one event."""

    code: str
    method: str
    route: str | None  # with its parameters' names, never with what a client had put there
    client: str | None  # address
    tenant: UUID | None  # of the principal
    principal: Principal | None  # None: it is not known who it was
    key_id: str | None  # of the API key that was sent, if it was spelt as one; anybody can make one up


def others(tenant: UUID | None) -> Denial:
    """Stands for all denials of a tenant's, or of nobody's, that were too many to be told apart."""
    return Denial(code=_OTHERS, method="", route=None, client=None, tenant=tenant, principal=None, key_id=None)


@dataclass(slots=True)
class Count:
    """How many equal denials there were, and when, by the process's clock."""

    first: float
    last: float
    number: int = 0


class Tally:
    """Keeps a process's requests from writing, and a flood of bad credentials from filling the database.

    A thread, which is not started before there is something to write, writes it within about a second of its coming,
    but not twice within WRITE_SECONDS. What cannot be written because the database is away is kept for the next time.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = Lock()  # held for moments only, never at the database
        self._uses: dict[str, datetime] = {}
        self._denials: dict[Denial, Count] = {}
        self._some = Event()
        self._closing = Event()
        self._thread: Thread | None = None

    def note_use(self, key_id: str, hour: datetime) -> None:
        """A valid key was used in that hour."""
        with self._lock:
            self._uses[key_id] = hour
        self._hurry()

    def note_denial(self, denial: Denial) -> None:
        """Somebody was not let in."""
        now = self._clock()
        with self._lock:
            count = self._denials.setdefault(_kind(denial, self._denials), Count(first=now, last=now))
            count.number += 1
            count.last = now
        self._hurry()

    def write(self) -> None:
        """Writes what there is; raises ServiceUnavailable, and then keeps it."""
        with self._lock:
            uses, self._uses = self._uses, {}
            denials, self._denials = self._denials, {}
        if not uses and not denials:
            return
        try:
            transact(self._engine, lambda connection: _write(connection, uses, denials, self._clock()))
        except ServiceUnavailable:
            with self._lock:
                self._uses = uses | self._uses
                self._denials = _sum(denials, self._denials)
            self._some.set()
            raise

    def close(self) -> None:
        """Has the thread write what there is for the last time, and waits for that a moment; none is started anew."""
        self._closing.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _hurry(self) -> None:
        self._some.set()
        if self._thread is None and not self._closing.is_set():
            with self._lock:
                if self._thread is None:
                    self._thread = Thread(target=self._write_again_and_again, name="tally", daemon=True)
                    self._thread.start()

    def _write_again_and_again(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._some.clear()
            self._closing.wait(_COLLECT_SECONDS)
            self._try_to_write()
            self._closing.wait(WRITE_SECONDS)
        self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except ServiceUnavailable:
            _log.warning("uses of keys and denials are to be written later: the database does not answer")
        except Exception:
            _log.exception("uses of keys and denials could not be written")


def _kind(denial: Denial, known: Collection[Denial]) -> Denial:
    """As what it is counted: as itself, unless its tenant has too many already."""
    has_room = sum(each.tenant == denial.tenant for each in known) < MOST_DENIALS
    return denial if has_room or denial in known else others(denial.tenant)


def _sum(older: Mapping[Denial, Count], newer: Mapping[Denial, Count]) -> dict[Denial, Count]:
    """Both counts together, of no more kinds than there may be."""
    together: dict[Denial, Count] = {}
    for denial, count in (*older.items(), *newer.items()):
        summed = together.setdefault(_kind(denial, together), Count(first=count.first, last=count.last))
        summed.number += count.number
        summed.last = count.last
    return together


def _write(connection: Connection, uses: Mapping[str, datetime], denials: Mapping[Denial, Count], now: float) -> None:
    if uses:
        keys.record_uses(connection, uses)
    shown = [denial.key_id for denial in denials if denial.key_id]
    owners = keys.owners(connection, shown) if shown else {}
    for denial, count in denials.items():
        audit.record(
            connection,
            _tenant(denial, owners),
            Action.DENIED,
            _told(denial, count),
            by=denial.principal,
            key_id=denial.key_id,
            ago=timedelta(seconds=now - count.last),
        )


def _tenant(denial: Denial, owners: Mapping[str, UUID]) -> UUID:
    """In whose audit it belongs: that of whoever it was, else of the key that was sent, else the operators'."""
    if denial.tenant:
        return denial.tenant
    return owners.get(denial.key_id or "", tenant_id(DEFAULT_TENANT))


def _told(denial: Denial, count: Count) -> dict[str, str | float | None]:
    seconds = round(count.last - count.first, 3)
    what = {"error_code": denial.code, "method": denial.method, "route": denial.route, "client": denial.client}
    return {"count": count.number, "seconds": seconds} | ({} if denial.code == _OTHERS else what)
