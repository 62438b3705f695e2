"""History: a connector's past by steps, its errors, what happened to a pipeline's connectors."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flask import request
from sqlalchemy import Engine

from app.api import examples, formats, runtime
from app.api.blueprint import Blueprint
from app.api.history_json import ERROR_COLUMNS, POINT_COLUMNS, errors, points
from app.api.history_query import KINDS, EventsQuery, read_chart
from app.api.history_schemas import ErrorsSchema, EventsSchema, HistorySchema
from app.api.page_query import BAD_LIMIT, MAX_LIMIT, limit_parameter
from app.api.runtime import tenant
from app.api.schemas import ErrorSchema
from app.api.sse import transition
from app.domain.errors import (
    InvalidParam,
    PipelineInteractionNotDeployed,
    UnknownInputEndpoint,
    UnknownPipelineName,
)
from app.domain.names import Address, pipeline_name
from app.domain.roles import Role
from app.domain.status import ErrorKind, format_time
from app.lean import LeanResponse as Response
from app.store.engine import run
from app.store.events import EventsPage, read_pipeline_events
from app.store.history import read_history
from app.store.status import StatsQuery

history = Blueprint("history", __name__, url_prefix="/v0/pipelines/<pipeline>", description="History")

_CONNECTOR = "/tables/<table:table>/connectors/<connector>"
_UNKNOWN = (UnknownPipelineName("demo"), UnknownInputEndpoint("orders.billing"))
_EVENT_COLUMNS = ("pipeline", "table", "connector", "kind", "version", "at", "details")
_STRING = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_FROM = examples.parameter("from", "query", "Since when, RFC 3339.", "2026-01-31T11:00:00Z", _TIME)
_TO = examples.parameter("to", "query", "Until when; default: now.", "2026-01-31T12:00:00Z", _TIME)
_STEP = examples.parameter(
    "step",
    "query",
    "Seconds: a divisor of 3600, or 86400; default: what shows the span well.",
    300,
    {"type": "integer"},
)
_EVENT_PARAMETERS = [
    _FROM,
    _TO,
    examples.parameter("table", "query", "Only of connectors of this table.", "orders", _STRING),
    examples.parameter("connector", "query", "Only of connectors of this name.", "billing", _STRING),
    examples.parameter(
        "kind",
        "query",
        "Only of this kind; repeat it for several.",
        ["failed"],
        {"type": "array", "items": {"type": "string", "enum": list(KINDS)}},
    ),
    limit_parameter("transitions"),
    examples.parameter(
        "cursor", "query", "Where a page goes on; from the page before.", examples.EVENT_CURSOR, _STRING
    ),
]


@history.route(f"{_CONNECTOR}/history")
@history.refuses(Role.READ, InvalidParam("from: must be earlier than to"), *_UNKNOWN)
@history.alt_response(406, schema=ErrorSchema, **formats.NOT_ACCEPTABLE)
@history.response(200, HistorySchema, example=examples.HISTORY)
@history.doc(parameters=[_FROM, _TO, _STEP], responses=formats.documented(POINT_COLUMNS))
def read_connector_history(pipeline: str, table: str, connector: str) -> Response:
    """Read a connector's history

    Required role: `read` or higher.

    By steps that begin at multiples of their length in UTC, at most 1000. Where nothing is known of a step, its members
    are null. `Accept: text/csv` and `application/x-ndjson` give a line for each step.
    """
    address, here = Address.parse(tenant(), pipeline, table, connector), runtime.current()
    chart, every = read_chart(request.args, here.config), here.config.history_interval
    rows = run(here.engine, lambda connection: read_history(connection, address, chart, keep_every=every))
    head = {
        "pipeline": address.pipeline,
        "table": address.table,
        "connector": address.connector,
        "from": format_time(chart.since),
        "to": format_time(chart.until),
        "step": int(chart.step.total_seconds()),
        "resolution": chart.resolution.value,
    }
    told = points(chart, rows)
    return formats.answer(POINT_COLUMNS, told, lambda: head | {"points": list(told)})


@history.route(f"{_CONNECTOR}/errors")
@history.refuses(Role.READ, InvalidParam("table: …"), *_UNKNOWN, PipelineInteractionNotDeployed("demo"))
@history.alt_response(406, schema=ErrorSchema, **formats.NOT_ACCEPTABLE)
@history.response(200, ErrorsSchema, example=examples.ERRORS)
@history.doc(responses=formats.documented(ERROR_COLUMNS))
def read_connector_errors(pipeline: str, table: str, connector: str) -> Response:
    """Read a connector's errors, with what is missing between them

    Required role: `read` or higher.

    By their index, which counts from 1. What was counted and is not kept stands as a gap, from and to which index.
    """
    address = Address.parse(tenant(), pipeline, table, connector)
    row = runtime.current().stats(StatsQuery(address))
    found = {kind.value: errors(row, kind) for kind in ErrorKind}
    lines = ({"kind": kind} | entry for kind, entries in found.items() for entry in entries)
    return formats.answer(ERROR_COLUMNS, lines, lambda: {f"{kind}_errors": each for kind, each in found.items()})


@history.route("/events")
@history.refuses(Role.READ, BAD_LIMIT, UnknownPipelineName("demo"))
@history.alt_response(406, schema=ErrorSchema, **formats.NOT_ACCEPTABLE)
@history.response(200, EventsSchema, example=examples.EVENTS)
@history.doc(parameters=_EVENT_PARAMETERS, responses=formats.documented(_EVENT_COLUMNS))
def list_pipeline_events(pipeline: str) -> Response:
    """List what happened to a pipeline's connectors

    Required role: `read` or higher.

    The transitions of a span of time, the last day unless it is given, in the order of the stream `/v0/events`. Follow
    `next` until there is none. `Accept: text/csv` and `application/x-ndjson` give all of them, a line for each.
    """
    engine, query = runtime.current().engine, EventsQuery.parse(request.args, tenant(), pipeline_name(pipeline))
    if formats.accepted() != formats.JSON:
        query = replace(query, limit=MAX_LIMIT)
    page = _read(engine, query)
    document = {
        "events": [transition(event) for event in page.events],
        "next": query.next(page.events[-1].place) if page.more else None,
    }
    return formats.answer(_EVENT_COLUMNS, _all(engine, query, page), lambda: document)


def _read(engine: Engine, query: EventsQuery) -> EventsPage:
    return run(engine, lambda connection: read_pipeline_events(connection, query.wanted, query.after, query.limit))


def _all(engine: Engine, query: EventsQuery, page: EventsPage) -> Iterator[dict[str, Any]]:
    """That page's and all that follow; each page is read when the client has taken the one before."""
    yield from map(transition, page.events)
    while page.more:
        query = replace(query, after=page.events[-1].place)
        page = _read(engine, query)
        yield from map(transition, page.events)
