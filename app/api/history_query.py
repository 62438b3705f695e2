"""What history is asked for: the query's parameters, each well-formed, or refused by its name."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from werkzeug.datastructures import MultiDict

from app.api.page_query import DEFAULT_LIMIT, LIMIT, Read, choices, one, read
from app.config import Config
from app.domain.chart import Chart, Kept, chart
from app.domain.connector import EventKind
from app.domain.errors import InvalidParam
from app.domain.event_order import BEGINNING, Cursor, EventPlace
from app.domain.names import canonical_table, connector_name
from app.domain.status import format_time, parse_time
from app.store.events import PipelineEvents

KINDS = tuple(kind.value for kind in EventKind)

_STEP = re.compile(r"[1-9]\d{0,5}", re.ASCII)

Arguments = MultiDict[str, str]


def read_chart(arguments: Arguments, config: Config) -> Chart:
    """The chart that a query asks for: unless it says otherwise, of the last hour. Raises InvalidParam."""
    given, now = read(arguments, _HISTORY), datetime.now(UTC)
    since, until = _span(given, now, timedelta(hours=1))
    step = given.get("step")
    kept = Kept(observations=now - config.observation_retention, hours=now - config.hourly_retention)
    return chart(since, until, None if step is None else timedelta(seconds=step), kept)


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """A page of a pipeline's transitions."""

    wanted: PipelineEvents
    limit: int
    after: EventPlace

    @classmethod
    def parse(cls, arguments: Arguments, tenant: UUID, pipeline: str) -> "EventsQuery":
        """The page that a query asks for: unless it says otherwise, of the last day. Raises InvalidParam."""
        given = read(arguments, _EVENTS)
        since, until = _span(given, datetime.now(UTC), timedelta(days=1))
        wanted = PipelineEvents(
            tenant=tenant,
            pipeline=pipeline,
            since=since,
            until=until,
            table=given.get("table"),
            connector=given.get("connector"),
            kinds=given.get("kind"),
        )
        return cls(wanted, given.get("limit", DEFAULT_LIMIT), _place(given.get("cursor"), wanted))

    def next(self, last: EventPlace) -> str:
        """The page behind that place, as a reference relative to this one: a query and nothing else."""
        wanted = self.wanted
        query = {
            "from": format_time(wanted.since),
            "to": format_time(wanted.until),
            "table": None if wanted.table is None else f'"{wanted.table}"',
            "connector": wanted.connector,
            "kind": wanted.kinds,
            "limit": self.limit,
            "cursor": Cursor(query=_digest(wanted), made_at=0, place=last),
        }
        return f"?{urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)}"


def _span(given: dict[str, Any], now: datetime, length: timedelta) -> tuple[datetime, datetime]:
    until = given.get("to", now)
    try:
        since = given.get("from") or until - length
    except OverflowError:
        raise InvalidParam("to: is too early") from None
    if since >= until:
        raise InvalidParam("from: must be earlier than to")
    return since, until


def _time(values: list[str]) -> datetime:
    return parse_time(values[0])


_HISTORY: dict[str, Read] = {
    "from": _time,
    "to": _time,
    "step": one(_STEP, int, "must be a whole number of seconds"),
}
_EVENTS: dict[str, Read] = {
    "from": _time,
    "to": _time,
    "table": lambda values: canonical_table(values[0]),
    "connector": lambda values: connector_name(values[0]),
    "kind": choices(KINDS),
    "limit": LIMIT,
    "cursor": lambda values: values[0],
}


def _place(cursor: str | None, wanted: PipelineEvents) -> EventPlace:
    if cursor is None:
        return BEGINNING
    try:
        return Cursor.parse(cursor, _digest(wanted)).place
    except InvalidParam:
        raise InvalidParam("cursor: not one of these filters and this span; begin again without it") from None


def _digest(wanted: PipelineEvents) -> bytes:
    return hashlib.sha256(repr(wanted).encode()).digest()[:8]
