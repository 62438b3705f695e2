"""The week that docs/reporting.md asks about: Monday 3 to Sunday 9 March 2025, of two tenants, and the present.

Every connector reports each ten minutes, and the domain's rules make of that what they would have made of it then. What
happens besides is listed in `HAPPENINGS`, by day (from 0, Monday) and hour.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from app.domain.connector import Connector, Report, StreamPosition, accept
from app.domain.names import Address, tenant_id
from app.domain.position import Position
from app.domain.status import Health, Metrics, Status
from app.domain.token import SAMPLED_AHEAD
from app.store import models, reports
from app.store.reports import Change
from tests.tenants import add_tenant

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)
SUNDAY = MONDAY + timedelta(days=7)  # its end
STEP = timedelta(minutes=10)
HOUR = timedelta(hours=1)
KEEP_EVERY = timedelta(seconds=10)
TENANTS = {"acme": 1, "umbrella": 100}  # how many times as busy each is
ISSUED = {5: "loader", 45: "dbt"}  # at which minute of each hour who asks for a token


@dataclass(frozen=True, kw_only=True)
class Happening:
    """What is different for some hours."""

    day: int
    since: float
    until: float
    stalled: bool = False
    silent: bool = False
    status: dict[str, Any] = field(default_factory=dict)

    def __contains__(self, at: datetime) -> bool:
        start = MONDAY + timedelta(days=self.day)
        return start + self.since * HOUR <= at < start + self.until * HOUR


@dataclass(frozen=True, kw_only=True)
class Source:
    """A connector, and what it takes in."""

    pipeline: str
    table: str
    name: str
    rate: int  # records a step, of which a tenth waits for the next
    bad: int = 0  # of those, how many cannot be parsed
    tokens: bool = False
    restarts_at: datetime | None = None  # and counts from 0 again
    happenings: tuple[Happening, ...] = ()
    now: Happening | None = None  # a report more, when the questions are asked; None: it has stopped reporting


UNHEALTHY = {"health": Health(healthy=False, description="the broker is away")}
FAILED = {"fatal_error": "the disk is full"}

HAPPENINGS = (
    Source(
        pipeline="shop",
        table="orders",
        name="billing",
        rate=100,
        tokens=True,
        restarts_at=MONDAY + timedelta(days=3, hours=6),
        happenings=(
            Happening(day=1, since=8.5, until=10.5, status=UNHEALTHY),
            Happening(day=2, since=12, until=15, stalled=True),
        ),
        now=Happening(day=0, since=0, until=0, stalled=True),
    ),
    Source(
        pipeline="shop",
        table="orders",
        name="audit",
        rate=10,
        happenings=(Happening(day=4, since=0, until=6, stalled=True, status=FAILED),),
        now=Happening(day=0, since=0, until=0, stalled=True, status=FAILED),
    ),
    Source(
        pipeline="shop",
        table="users",
        name="crm",
        rate=1,
        happenings=(Happening(day=5, since=2, until=14, silent=True),),
    ),
    Source(
        pipeline="logs",
        table="events",
        name="kafka",
        rate=1000,
        bad=5,
        tokens=True,
        happenings=(
            Happening(day=0, since=9, until=10, stalled=True),
            Happening(day=6, since=0, until=24, status={"paused": True}),
        ),
        now=Happening(day=0, since=0, until=0),
    ),
)


def fill(engine: sa.Engine) -> None:
    """Records the week of both tenants, and rolls it up."""
    with engine.begin() as connection:
        for tenant, busy in TENANTS.items():
            add_tenant(connection, tenant)
            for source in HAPPENINGS:
                _record(
                    connection, Address(tenant_id(tenant), source.pipeline, source.table, source.name), source, busy
                )
        for grain, step in (("hourly", "1 hour"), ("daily", "1 day")):
            rolled_up = (
                f"INSERT INTO connector_{grain} SELECT * FROM connector_rollup(:since, :until, :step, :every, NULL)"
            )
            span = {"since": MONDAY, "until": SUNDAY, "step": step, "every": KEEP_EVERY}
            connection.execute(sa.text(rolled_up), span)


def _record(connection: sa.Connection, address: Address, source: Source, busy: int) -> None:
    changes = list(_changes(address, source, busy))
    reports.add_pipelines(connection, [address])
    reports.write(connection, [Change(address=address, before=Connector(), after=changes[-1].after, at=changes[-1].at)])
    first_of_later = next((n for n, change in enumerate(changes) if change.at == source.restarts_at), 0)
    for some in (changes[:first_of_later], changes[first_of_later:]):  # an epoch is closed after it was opened
        reports.write_history(connection, some)
    if source.tokens:
        connection.execute(sa.insert(models.CompletionToken), list(_tokens(changes)))


def _changes(address: Address, source: Source, busy: int) -> Iterator[Change]:
    connector, received, completed, bad, label = Connector(), 0, 0, 0, "run-1"
    for at, now in _moments(source):
        if at == source.restarts_at:
            received = completed = bad = 0
            label = "run-2"
        stalled = any(each.stalled for each in now)
        status: dict[str, Any] = {"health": Health(healthy=True, description=None)}
        for each in now:
            status |= each.status
        if not (status.get("paused") or status.get("fatal_error")):
            received, bad = received + source.rate * busy, bad + source.bad * busy
        waits = 0 if status.get("paused") else source.rate * busy // 10
        completed = completed if stalled else received - waits
        report = Report(
            if_match=connector.version,
            interval_seconds=STEP.total_seconds(),
            position=StreamPosition(
                epoch=label, received=Position.parse(received), completed=Position.parse(completed)
            ),
            status=Status(metrics=Metrics(total_records=received, num_parse_errors=bad), **status),
        )
        accepted = accept(connector, report, now=at, closed_labels=(), keep_every=KEEP_EVERY)
        yield Change(
            address=address,
            before=connector,
            after=accepted.connector,
            at=at,
            closed=accepted.closed,
            opened=accepted.opened,
            events=accepted.events,
            observed=accepted.observed,
        )
        connector = accepted.connector


def _moments(source: Source) -> Iterator[tuple[datetime, list[Happening]]]:
    """When it reports, and what is different then; in the present four times in a row, so that it may be stalled."""
    for number in range((SUNDAY - MONDAY) // STEP):
        at = MONDAY + number * STEP
        now = [each for each in source.happenings if at in each]
        if not any(each.silent for each in now):
            yield at, now
    if source.now is not None:
        present = datetime.now(UTC)
        for seconds in (4, 3, 2, 1):
            yield present - timedelta(seconds=seconds), [source.now]


def _tokens(changes: list[Change]) -> Iterator[dict[str, Any]]:
    for change in changes:
        minute = change.at.minute + 5
        if change.at < SUNDAY and minute in ISSUED and change.after.epoch is not None:
            issued_at = change.at + timedelta(minutes=5)
            yield {
                "connector_id": change.address.id,
                "id": _uuid7(issued_at),
                "epoch_number": change.after.epoch.number,
                "binding": change.after.version + SAMPLED_AHEAD,
                "issued_at": issued_at,
                "issued_by": ISSUED[minute],
            }


def _uuid7(at: datetime) -> UUID:
    """Of that time (RFC 9562 §5.7)."""
    random = uuid4().int & (1 << 80) - 1
    return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | random & ~(0xF << 76))
