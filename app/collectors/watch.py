"""The loop over one source: learn the versions, then measure, then write on condition, again (design §2, The rule)."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine

from app.collectors.source import Found, Source, TransportError, report_of
from app.domain.errors import Conflict, PreconditionFailed, ServiceUnavailable
from app.domain.names import Address
from app.domain.roles import command_line
from app.services.report import Addressed, Outcome, record
from app.services.tenants import ensure_tenant
from app.store import reports
from app.store.engine import run, transact
from app.store.reports import Loaded

_log = logging.getLogger(__name__)

ROUNDS_FOR_A_TOKEN = 2  # it is bound to the second version after the one it saw
_LONGEST_BACK_OFF_SECONDS = 30.0
_TRIES = 10  # of one round, each lost one to another reporter's report


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured at a source, how often, and where the reports go: all to one pipeline."""

    tenant: str
    pipeline: str
    addresses: tuple[Address, ...]
    interval_seconds: float


@dataclass(slots=True)
class _Turn:
    """When a connector is to be measured next."""

    due: float = 0.0  # by the event loop's clock
    owed: int = 0  # rounds to be made at once, for the sake of a token
    failures: int = 0  # in a row; while there are any, nothing is made at once
    complaint: str | None = None  # the newest one logged


class Watch:
    """Watches the connectors of one source, for ever. All of it runs on one event loop, but for the statements."""

    def __init__(self, plan: Plan, source: Source, engine: Engine, keep_every: timedelta) -> None:
        self._plan = plan
        self._source = source
        self._engine = engine
        self._keep_every = keep_every
        self._by = replace(command_line(plan.tenant), name="collector")
        self._turns = {address: _Turn() for address in plan.addresses}
        self._hurried = asyncio.Event()

    def hurry(self, connector_id: UUID | None) -> None:
        """Has the connector (None: every one) measured twice from now on without waiting for its time.

        A round that is being made does not count, because its measurement may be older than the reason for haste.
        """
        for address, turn in self._turns.items():
            if connector_id in (None, address.id):
                turn.owed = ROUNDS_FOR_A_TOKEN
                self._hurried.set()

    async def run(self) -> None:
        """Makes a round whenever one is due; ends by being cancelled."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                self._hurried.clear()
                if addresses := self._ready(clock()):
                    await self._round(addresses)
                else:
                    await self._sleep(min(turn.due for turn in self._turns.values()) - clock())
        finally:
            await self._source.close()

    def _ready(self, now: float) -> list[Address]:
        return [a for a, turn in self._turns.items() if turn.due <= now or (turn.owed and not turn.failures)]

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurried.wait()
        except TimeoutError:
            pass

    async def _round(self, addresses: Sequence[Address]) -> None:
        """Measures and reports each of the connectors once; whatever fails is put off, and never raised."""
        started = asyncio.get_running_loop().time()
        owed = {address: self._turns[address].owed for address in addresses}
        for address in addresses:
            self._turns[address].owed = 0
        try:
            failed = await self._report(addresses)
        except ServiceUnavailable:
            _log.warning("pipeline %s: the database does not answer; trying again", self._plan.pipeline)
            failed = set(addresses)
        except Exception:
            _log.exception("pipeline %s: a round has failed; trying again", self._plan.pipeline)
            failed = set(addresses)
        for address in addresses:
            turn = self._turns[address]
            turn.failures = turn.failures + 1 if address in failed else 0
            turn.owed = max(turn.owed, owed[address] if address in failed else owed[address] - 1)
            turn.due = started + _pause(self._plan.interval_seconds, turn.failures)

    async def _report(self, addresses: Sequence[Address]) -> set[Address]:
        """One report for each of the connectors; answers those that could not be measured.

        A connector that somebody else has reported meanwhile is measured again at once: tokens are built on it that
        no old measurement is ever sent again.
        """
        failed: set[Address] = set()
        for _ in range(_TRIES):
            found, outcomes = await self._attempt(addresses)
            failed -= found.keys()
            failed |= {address for address, each in found.items() if isinstance(each, TransportError)}
            addresses = [a for a, outcome in outcomes.items() if isinstance(outcome, PreconditionFailed)]
            if not addresses:
                break
        return failed

    async def _attempt(self, addresses: Sequence[Address]) -> tuple[Mapping[Address, Found], dict[Address, Outcome]]:
        loaded = await asyncio.to_thread(self._learn, addresses)
        found = dict(await self._source.measure(addresses))
        outcomes = await asyncio.to_thread(self._write, loaded, found)
        # A position that is refused must show: without it the record would just be still.
        refused = {a: TransportError(str(outcome)) for a, outcome in outcomes.items() if isinstance(outcome, Conflict)}
        if refused:
            found |= refused
            outcomes |= await asyncio.to_thread(self._write, loaded, refused)
        for address, outcome in outcomes.items():
            self._log_change(address, found[address], outcome)
        return found, outcomes

    def _learn(self, addresses: Sequence[Address]) -> dict[Address, Loaded]:
        wanted = [(address, None) for address in addresses]
        return dict(zip(addresses, run(self._engine, lambda c: reports.load(c, wanted)), strict=True))

    def _write(self, loaded: Mapping[Address, Loaded], found: Mapping[Address, Found]) -> dict[Address, Outcome]:
        tag, interval = self._source.tag, self._plan.interval_seconds
        items = [
            Addressed(address, report_of(loaded[address], each, tag=tag, interval_seconds=interval))
            for address, each in found.items()
        ]

        def work(connection: Connection) -> list[Outcome]:
            if not all(each.pipeline_known for each in loaded.values()):
                ensure_tenant(connection, self._by, self._plan.tenant)
            return record(connection, items, keep_every=self._keep_every)

        return dict(zip(found, transact(self._engine, work), strict=True))

    def _log_change(self, address: Address, found: Found, outcome: Outcome) -> None:
        """What is wrong is logged once, not at every interval; that another reporter was faster is not wrong."""
        complaint = next((str(each) for each in (found, outcome) if isinstance(each, Exception)), None)
        turn = self._turns[address]
        if isinstance(outcome, PreconditionFailed) or complaint == turn.complaint:
            return
        turn.complaint = complaint
        log = _log.warning if complaint else _log.info
        log("pipeline %s, %s: %s", address.pipeline, address.endpoint, complaint or "all is well again")


def _pause(interval_seconds: float, failures: int) -> float:
    """Seconds from one round to the next."""
    if not failures:
        return interval_seconds
    return min(_LONGEST_BACK_OFF_SECONDS, min(interval_seconds, 1.0) * 2.0 ** min(failures - 1, 20))
