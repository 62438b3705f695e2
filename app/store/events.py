"""Transitions of connectors, read in the one order that can be gone through without a gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from app.domain.errors import UnknownPipelineName
from app.domain.event_order import BEGINNING, EventPlace
from app.domain.names import pipeline_id
from app.store.engine import AnyRow, array, statement


@dataclass(frozen=True, slots=True)
class EventQuery:
    """The tenant's transitions behind a place."""

    tenant: UUID
    after: EventPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """A transition, and where it belongs."""

    place: EventPlace
    pipeline: str
    table: str
    connector: str
    at: datetime
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The transitions next behind the place asked for, none missing."""

    events: Sequence[RecordedEvent]
    is_last: bool  # whether there were no more just now
    now: datetime  # of the database's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """Where a tenant's transitions end just now."""

    place: EventPlace
    horizon: int  # the first transaction that may still add some before its end
    now: datetime  # of the database's clock


def read_events(connection: Connection, queries: Sequence[EventQuery], *, limit: int) -> list[Page]:
    """A page of at most ``limit`` transitions for each query, in their order."""
    after = [query.after for query in queries]
    parameters = {
        "tenants": array(query.tenant for query in queries),
        "xids": array(place.xid for place in after),
        "connectors": array(place.connector_id for place in after),
        "versions": array(place.version for place in after),
        "kinds": [place.kind for place in after],
        "page": limit,
    }
    rows = connection.execute(statement("read_events"), parameters)
    return [_page(list(group), limit) for _, group in groupby(rows, lambda row: row.query)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineEvents:
    """The transitions of a pipeline in a span of time; None is no filter."""

    tenant: UUID
    pipeline: str
    since: datetime
    until: datetime
    table: str | None = None
    connector: str | None = None
    kinds: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EventsPage:
    """The first of them behind a place, and whether there are more."""

    events: Sequence[RecordedEvent]
    more: bool


def read_pipeline_events(connection: Connection, wanted: PipelineEvents, after: EventPlace, limit: int) -> EventsPage:
    """A page of at most ``limit`` transitions; raises UnknownPipelineName."""
    parameters = {
        "pipeline_id": pipeline_id(wanted.tenant, wanted.pipeline),
        "since": wanted.since,
        "until": wanted.until,
        "table": wanted.table,
        "connector": wanted.connector,
        "kinds": None if wanted.kinds is None else list(wanted.kinds),
        "xid": after.xid,
        "connector_id": after.connector_id,
        "version": after.version,
        "after_kind": after.kind,
        "limit": limit,
    }
    rows = connection.execute(statement("read_pipeline_events"), parameters).all()
    if not rows[0].pipeline_known:
        raise UnknownPipelineName(wanted.pipeline)
    events = [_event(row) for row in rows if row.xid is not None]
    return EventsPage(events[:limit], len(events) > limit)


def read_newest(connection: Connection, tenant: UUID) -> Newest:
    """Where a stream of the tenant's transitions begins."""
    row = connection.execute(statement("read_newest_event"), {"tenant": tenant}).one()
    return Newest(place=BEGINNING if row.xid is None else _place(row), horizon=row.horizon, now=row.now)


def _page(rows: list[AnyRow], limit: int) -> Page:
    events = [_event(row) for row in rows if row.xid is not None]
    return Page(events=events, is_last=len(events) < limit, now=rows[0].now)


def _place(row: AnyRow) -> EventPlace:
    return EventPlace(row.xid, row.connector_id, row.version, row.kind)


def _event(row: AnyRow) -> RecordedEvent:
    return RecordedEvent(
        place=_place(row),
        pipeline=row.pipeline,
        table=row.table_name,
        connector=row.connector_name,
        at=row.at,
        details=row.details,
    )
