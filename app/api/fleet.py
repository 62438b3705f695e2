"""The fleet: all connectors of the tenant, those first that need a look."""

import hashlib
from typing import Any

from flask import request

from app.api import examples, runtime
from app.api.blueprint import Blueprint
from app.api.fleet_query import CHOICES, FleetQuery
from app.api.fleet_schemas import FleetSchema
from app.api.page_query import BAD_LIMIT, limit_parameter
from app.api.runtime import tenant
from app.api.stats_json import dump
from app.domain.roles import Role
from app.lean import LeanResponse as Response
from app.store.engine import run
from app.store.fleet import Page, read_page

fleet = Blueprint("fleet", __name__, url_prefix="/v0/connectors", description="The fleet")

_CURSOR = "WyIxZDM4ZDM2YjRmYTM4NzU0IiwyLCJkZW1vIiwib3JkZXJzIiwiYmlsbGluZyJd"
_NEXT = f"?lifecycle=running&limit=1&cursor={_CURSOR}"
_EXAMPLE: dict[str, Any] = {
    "connectors": [
        {
            "pipeline": "demo",
            "pipeline_status": "Running",
            "table": "orders",
            "connector": "billing",
            "endpoint_name": "orders.billing",
            "lifecycle": "running",
            "progress": "stalled",
            "health": {"status": "Healthy", "description": None},
            "fatal_error": None,
            "lag_records": 421,
            "lag_seconds": 12.043,
            "report_age_seconds": 1,
            "recorded_at": "2026-01-31T12:00:00.000000Z",
            "interval_seconds": 1,
            "not_reporting_since": None,
            "version": 30,
            "epoch": "run-1",
            "epoch_number": 1,
            "completed_version": 25,
            "total_records": 1200,
            "buffered_records": 421,
            "num_parse_errors": 0,
            "num_transport_errors": 0,
            "removed_at": None,
        }
    ],
    "next": _NEXT,
}
_HEADERS = {
    "ETag": examples.header("Of this very answer.", '"0f3c9a5c6c0f5b3e8f0a0f4c7a0c2a11"'),
    "Link": examples.header("The next page, where there is one.", f'<{_NEXT}>; rel="next"'),
}


def _several(name: str, description: str, values: tuple[str, ...] = ()) -> dict[str, Any]:
    items = {"type": "string"} | ({"enum": list(values)} if values else {})
    example = [values[0] if values else "demo"]
    return examples.parameter(name, "query", description, example, {"type": "array", "items": items})


_PARAMETERS = [
    _several("pipeline", "Of these pipelines only; repeat it for several."),
    _several("lifecycle", "Of these only; repeat it for several. Default: all but `removed`.", CHOICES["lifecycle"]),
    _several("progress", "Of these only; repeat it for several.", CHOICES["progress"]),
    _several("health", "Of these only; repeat it for several. `none`: it says nothing of it.", CHOICES["health"]),
    examples.parameter("min_lag_records", "query", "At least so far behind.", 1000, {"type": "integer", "minimum": 0}),
    examples.parameter("min_lag_seconds", "query", "At least so long behind.", 30, {"type": "number", "minimum": 0}),
    examples.parameter("name_prefix", "query", "How `endpoint_name` begins.", "orders.b", {"type": "string"}),
    limit_parameter("connectors"),
    examples.parameter("cursor", "query", "Where a page goes on; from the page before.", _CURSOR, {"type": "string"}),
    examples.IF_NONE_MATCH | {"description": "An answer already known, by its ETag."},
]


@fleet.route("")
@fleet.refuses(Role.READ, BAD_LIMIT)
@fleet.alt_response(304, description="If-None-Match names this very answer.")
@fleet.response(200, FleetSchema, example=_EXAMPLE, headers=_HEADERS)
@fleet.doc(parameters=_PARAMETERS)
def list_connectors() -> Response:
    """List the connectors, those first that need a look

    Required role: `read` or higher.

    First what failed, then what is unhealthy, stalled, rewound and of unknown progress, then all others; each by
    pipeline, table and connector. Follow `next`, or the `Link` header, until there is none.
    """
    query, owner = FleetQuery.parse(request.args), tenant()
    page = run(
        runtime.current().engine,
        lambda connection: read_page(connection, owner, query.filters, query.after, query.limit),
    )
    return _answer(page, query.next(page.last) if page.last else None)


def _answer(page: Page, following: str | None) -> Response:
    body = b'{"connectors":[%b],"next":%b}\n' % (",".join(page.members).encode(), dump(following).rstrip())
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = [("Content-Type", "application/json"), ("ETag", f'"{tag}"'), ("Cache-Control", "private, no-cache")]
    if following:
        headers.append(("Link", f'<{following}>; rel="next"'))
    if request.if_none_match.contains_weak(tag):
        return Response(status=304, headers=headers)
    return Response(body, headers=headers)
