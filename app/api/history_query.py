"""What history is asked for: the query's parameters, each known and well-formed, or refused by its name."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from werkzeug.datastructures import MultiDict

from app.config import Config
from app.domain.chart import Chart, Kept, chart
from app.domain.connector import EventKind
from app.domain.errors import InvalidParam
from app.domain.event_order import BEGINNING, Cursor, EventPlace
from app.domain.names import canonical_table, connector_name
from app.domain.status import format_time, parse_time
from app.store.events import PipelineEvents

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
KINDS = tuple(kind.value for kind in EventKind)

_HISTORY = ("from", "to", "step")
_EVENTS = ("from", "to", "table", "connector", "kind", "limit", "cursor")
_NUMBER = re.compile(r"[1-9]\d{0,5}", re.ASCII)

Arguments = MultiDict[str, str]


def read_chart(arguments: Arguments, config: Config) -> Chart:
    """The chart that a query asks for: unless it says otherwise, of the last hour. Raises InvalidParam."""
    _check(arguments, _HISTORY)
    now = datetime.now(UTC)
    since, until = _span(arguments, now, timedelta(hours=1))
    step = _number(arguments, "step", "must be a whole number of seconds")
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
        _check(arguments, _EVENTS)
        since, until = _span(arguments, datetime.now(UTC), timedelta(days=1))
        kinds = arguments.getlist("kind")
        if not set(kinds) <= set(KINDS):
            raise InvalidParam(f"kind: must be one of {', '.join(KINDS)}; repeat it for several")
        wanted = PipelineEvents(
            tenant=tenant,
            pipeline=pipeline,
            since=since,
            until=until,
            table=canonical_table(arguments["table"]) if "table" in arguments else None,
            connector=connector_name(arguments["connector"]) if "connector" in arguments else None,
            kinds=tuple(sorted(set(kinds))) or None,
        )
        return cls(wanted, _limit(arguments), _place(arguments.get("cursor"), wanted))

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


def _check(arguments: Arguments, known: Collection[str]) -> None:
    for name in arguments:
        if name not in known:
            raise InvalidParam(f"{name[:100]}: there is no such parameter, only {', '.join(known)}")
        if name != "kind" and len(arguments.getlist(name)) > 1:
            raise InvalidParam(f"{name}: must be given once")


def _span(arguments: Arguments, now: datetime, length: timedelta) -> tuple[datetime, datetime]:
    until = _time(arguments, "to") or now
    try:
        since = _time(arguments, "from") or until - length
    except OverflowError:
        raise InvalidParam("to: is too early") from None
    if since >= until:
        raise InvalidParam("from: must be earlier than to")
    return since, until


def _time(arguments: Arguments, name: str) -> datetime | None:
    if name not in arguments:
        return None
    try:
        return parse_time(arguments[name])
    except ValueError as error:
        raise InvalidParam(f"{name}: {error}") from None


def _number(arguments: Arguments, name: str, must_be: str) -> int | None:
    if name not in arguments:
        return None
    if not _NUMBER.fullmatch(arguments[name]):
        raise InvalidParam(f"{name}: {must_be}")
    return int(arguments[name])


def _limit(arguments: Arguments) -> int:
    must_be = f"must be an integer from 1 to {MAX_LIMIT}"
    limit = _number(arguments, "limit", must_be)
    if limit is not None and limit > MAX_LIMIT:
        raise InvalidParam(f"limit: {must_be}")
    return limit or DEFAULT_LIMIT


def _place(cursor: str | None, wanted: PipelineEvents) -> EventPlace:
    if cursor is None:
        return BEGINNING
    try:
        return Cursor.parse(cursor, _digest(wanted)).place
    except InvalidParam:
        raise InvalidParam("cursor: not one of these filters and this span; begin again without it") from None


def _digest(wanted: PipelineEvents) -> bytes:
    return hashlib.sha256(repr(wanted).encode()).digest()[:8]
