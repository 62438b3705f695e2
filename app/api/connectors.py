"""A connector: its stats, reports to it, its removal, tokens on it."""

import re
from dataclasses import replace
from functools import partial

from flask import request
from werkzeug.exceptions import MethodNotAllowed

from app.api import examples, runtime
from app.api.blueprint import Blueprint
from app.api.connector_schemas import StatsSchema
from app.api.report_schemas import ReportSchema, VersionSchema
from app.api.runtime import principal, tenant
from app.api.stats_json import dump
from app.api.token_schemas import TokenSchema
from app.domain.connector import Report
from app.domain.errors import (
    EpochSuperseded,
    InvalidParam,
    InvalidReport,
    MalformedBody,
    NoStreamPosition,
    PipelineInteractionNotDeployed,
    PositionRegressed,
    PreconditionFailed,
    PreconditionRequired,
    UnknownInputEndpoint,
    UnknownPipelineName,
)
from app.domain.names import Address
from app.domain.roles import Role
from app.lean import LeanResponse as Response
from app.services.issue import IssueRequest
from app.services.report import Addressed, remove_connector
from app.store.engine import transact
from app.store.status import StatsQuery

connectors = Blueprint(
    "connectors",
    __name__,
    url_prefix="/v0/pipelines/<pipeline>/tables/<table:table>/connectors/<connector>",
    description="Input connectors",
)

_IF_MATCH = re.compile(r'"(0|[1-9]\d{0,18})"', re.ASCII)
_UNKNOWN = (UnknownPipelineName("demo"), UnknownInputEndpoint("orders.billing"))
_BAD_NAME = InvalidParam("connector: use 1 to 255 letters, digits, '_', '-' or '.'")


@connectors.route("/stats")
@connectors.refuses(Role.READ, _BAD_NAME, *_UNKNOWN, PipelineInteractionNotDeployed("demo"))
@connectors.alt_response(304, description="If-None-Match names the current version.")
@connectors.response(200, StatsSchema, example=examples.STATS, headers=examples.STATS_HEADERS)
@connectors.doc(parameters=[examples.IF_NONE_MATCH])
def read_stats(pipeline: str, table: str, connector: str) -> Response:
    """Read a connector's status

    Required role: `read` or higher.

    The ETag is the version of the record; `recorded` is Tidemark's own addition to the dialect.
    """
    address = Address.parse(tenant(), pipeline, table, connector)
    here = runtime.current()
    known = here.renderings.get(address.id)
    row = here.stats(StatsQuery(address, known.version if known else 0))
    rendering = known if known and known.version == row.version else here.renderings.keep(row)
    stale_for = rendering.stale_for(row.now)
    # A stale report turns unhealthy without a new version, so only a fresh one may be answered by its version alone.
    if stale_for is None and request.if_none_match.contains_weak(str(rendering.version)):
        return Response(status=304, headers=rendering.headers(stale_for))
    return Response(rendering.body(stale_for), headers=rendering.headers(stale_for))


@connectors.route("/stats", methods=["PUT"])
@connectors.refuses(
    Role.WRITE,
    _BAD_NAME,
    MalformedBody(),
    PositionRegressed("0", recorded=100, reported=90),
    EpochSuperseded("run-1", current="run-2"),
    PreconditionFailed(current_version=7),
    InvalidReport(details={"position": {"received": ["must be an offset from 0 to 9223372036854775807"]}}),
    PreconditionRequired(),
)
@connectors.response(204, headers=examples.ETAG, description="Recorded as the version in the ETag.")
@connectors.alt_response(
    201,
    schema=VersionSchema,
    headers=examples.ETAG,
    description="Recorded, and the connector made known.",
    example={"version": 1},
    success=True,
)
@connectors.arguments(ReportSchema, example=examples.REPORT)
@connectors.doc(parameters=[examples.IF_MATCH])
def put_report(report: Report, pipeline: str, table: str, connector: str) -> Response:
    """Report a connector's status

    Required role: `write` or higher.

    A conditional write: read the version, then measure, then report with that version in `If-Match` (`"0"` for a
    connector not yet known). On 412 measure again; never resend an old measurement.
    """
    address = Address.parse(tenant(), pipeline, table, connector)
    recorded = runtime.current().report(Addressed(address, replace(report, if_match=_if_match())))
    response = Response(status=204)
    if recorded.created:
        response = Response(dump({"version": recorded.version}), 201, mimetype="application/json")
    response.set_etag(str(recorded.version))
    return response


@connectors.route("", methods=["DELETE"])
@connectors.refuses(Role.WRITE, _BAD_NAME, *_UNKNOWN, PreconditionFailed(current_version=7))
@connectors.response(204, description="Removed.")
@connectors.doc(parameters=[examples.IF_MATCH])
def delete_connector(pipeline: str, table: str, connector: str) -> Response:
    """Remove a connector

    Required role: `write` or higher.

    Its tokens get 410 from then on. A later report with `If-Match: "0"` brings it back, in a new epoch. With `If-Match`
    it is removed at that version only.
    """
    address = Address.parse(tenant(), pipeline, table, connector)
    work = partial(remove_connector, address=address, if_match=_if_match(), by=principal())
    transact(runtime.current().engine, work)
    return Response(status=204)


@connectors.route("/completion_token")
@connectors.refuses(Role.WRITE, _BAD_NAME, *_UNKNOWN, NoStreamPosition(), PipelineInteractionNotDeployed("demo"))
@connectors.response(200, TokenSchema, example=examples.TOKEN)
def issue_completion_token(pipeline: str, table: str, connector: str) -> Response:
    """Issue a completion token

    Required role: `write` or higher.

    The token becomes complete when everything that the connector had received before this request is processed.
    """
    if request.method != "GET":  # HEAD comes with GET, but nobody would hear of the token
        raise MethodNotAllowed(["GET"])
    address = Address.parse(tenant(), pipeline, table, connector)
    token = runtime.current().issue(IssueRequest(address, principal().name))
    return Response(dump({"token": str(token)}), mimetype="application/json")


def _if_match() -> int | None:
    """The version that must be the current one (RFC 9110 §13.1.1), if one is named; raises InvalidParam."""
    header = request.headers.get("If-Match")
    if header is None:
        return None
    match = _IF_MATCH.fullmatch(header.strip())
    if match is None:
        raise InvalidParam('If-Match: must be one version in double quotes, such as "7"')
    return int(match[1])
