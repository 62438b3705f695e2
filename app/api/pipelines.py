"""Pipelines: what is known of them, their status, their connectors' stats together."""

from collections.abc import Sequence
from typing import Any

from flask import Response, request

from app.api import connector_metrics, examples, runtime
from app.api.blueprint import Blueprint
from app.api.pipeline_schemas import PipelineSchema, PipelineStatsSchema, PipelineStatusSchema
from app.api.runtime import tenant
from app.api.stats_json import dump, pipeline_stats
from app.domain.errors import (
    InvalidParam,
    InvalidReport,
    MalformedBody,
    PipelineInteractionNotDeployed,
    UnknownPipelineName,
)
from app.domain.names import pipeline_id, pipeline_name
from app.domain.roles import Role
from app.domain.status import format_time
from app.store import scrape, status
from app.store.engine import AnyRow, run

pipelines = Blueprint("pipelines", __name__, url_prefix="/v0/pipelines", description="Pipelines")

_SELECTORS = {"type": "string", "enum": ["all", "status"]}
_SELECTOR = examples.parameter(
    "selector", "query", "Feldera's choice of members; here both give all.", "status", _SELECTORS
)
_WITH_ERRORS = examples.parameter(
    "include_connector_errors",
    "query",
    "Whether to list errors.",
    "true",
    {"type": "string", "enum": ["true", "false"]},
)
_FORMAT = examples.parameter(
    "format", "query", "The one format there is.", "prometheus", {"type": "string", "enum": ["prometheus"]}
)
_BAD_NAME = InvalidParam("pipeline: use 1 to 63 letters, digits, '-' or '_'")
_UNKNOWN = UnknownPipelineName("demo")


@pipelines.route("")
@pipelines.refuses(Role.READ, InvalidParam("selector: must be one of all, status"))
@pipelines.response(200, PipelineSchema(many=True), example=[examples.PIPELINE])
@pipelines.doc(parameters=[_SELECTOR])
def list_pipelines() -> Response:
    """List the pipelines

    Required role: `read` or higher.
    """
    _choice("selector", "all", "status")
    owner = tenant()
    rows = run(runtime.current().engine, lambda connection: status.read_pipelines(connection, owner))
    return Response(dump([_pipeline(row) for row in rows]), mimetype="application/json")


@pipelines.route("/<pipeline>")
@pipelines.refuses(Role.READ, _BAD_NAME, _UNKNOWN)
@pipelines.response(200, PipelineSchema, example=examples.PIPELINE)
@pipelines.doc(parameters=[_SELECTOR])
def read_pipeline(pipeline: str) -> Response:
    """Read a pipeline

    Required role: `read` or higher.
    """
    row = _read(pipeline)
    _choice("selector", "all", "status")
    return Response(dump(_pipeline(row)), mimetype="application/json")


@pipelines.route("/<pipeline>", methods=["PUT"])
@pipelines.refuses(Role.WRITE, _BAD_NAME, MalformedBody(), InvalidReport(details={"deployment_status": ["…"]}))
@pipelines.response(204, description="Recorded.")
@pipelines.alt_response(
    201,
    schema=PipelineStatusSchema,
    example={"deployment_status": "Stopped"},
    description="Recorded, and the pipeline made known.",
    success=True,
)
@pipelines.arguments(PipelineStatusSchema, example={"deployment_status": "Stopped"})
def put_pipeline(body: dict[str, Any], pipeline: str) -> Response:
    """Report a pipeline's status

    Required role: `write` or higher.

    While a pipeline is Stopped, its connectors' stats and new tokens are refused with 503; tokens already issued are
    still answered. A report to a pipeline not known yet makes it known, as Running.
    """
    owner, name = tenant(), pipeline_name(pipeline)
    created = run(
        runtime.current().engine,
        lambda connection: status.write_pipeline(
            connection, owner, pipeline_id(owner, name), name, body["deployment_status"]
        ),
    )
    if created:
        return Response(dump(body), 201, mimetype="application/json")
    return Response(status=204)


@pipelines.route("/<pipeline>/stats")
@pipelines.refuses(Role.READ, _BAD_NAME, _UNKNOWN, PipelineInteractionNotDeployed("demo"))
@pipelines.response(200, PipelineStatsSchema, example=examples.PIPELINE_STATS)
@pipelines.doc(parameters=[_WITH_ERRORS])
def read_pipeline_stats(pipeline: str) -> Response:
    """Read the stats of a pipeline and all its connectors

    Required role: `read` or higher.
    """
    row = _running(pipeline)
    with_errors = _choice("include_connector_errors", "false", "true") == "true"
    inputs = _inputs(row, with_errors=with_errors)
    return Response(dump(pipeline_stats(row, inputs, with_errors=with_errors)), mimetype="application/json")


@pipelines.route("/<pipeline>/metrics")
@pipelines.refuses(Role.READ, _BAD_NAME, _UNKNOWN, PipelineInteractionNotDeployed("demo"))
@pipelines.response(200, {"type": "string"}, content_type="text/plain", example=examples.METRICS)
@pipelines.doc(parameters=[_FORMAT])
def read_pipeline_metrics(pipeline: str) -> Response:
    """Read a pipeline's metrics in Prometheus' text format

    Required role: `read` or higher.
    """
    owner, name = tenant(), pipeline_name(pipeline)
    rows = run(runtime.current().engine, lambda connection: scrape.read_metrics(connection, owner, name))
    if not rows:
        raise UnknownPipelineName(name)
    if rows[0].pipeline_status == status.STOPPED:
        raise PipelineInteractionNotDeployed(name)
    _choice("format", "prometheus")
    return Response(connector_metrics.exposition(rows), content_type="text/plain")


def _choice(name: str, default: str, *others: str) -> str:
    value = request.args.get(name, default)
    if value not in (default, *others):
        raise InvalidParam(f"{name}: must be one of {', '.join((default, *others))}")
    return value


def _read(pipeline: str) -> AnyRow:
    identity = pipeline_id(tenant(), pipeline_name(pipeline))
    return run(runtime.current().engine, lambda connection: status.read_pipeline(connection, identity, pipeline))


def _running(pipeline: str) -> AnyRow:
    row = _read(pipeline)
    if row.status == status.STOPPED:
        raise PipelineInteractionNotDeployed(pipeline)
    return row


def _inputs(row: AnyRow, *, with_errors: bool) -> Sequence[AnyRow]:
    return run(
        runtime.current().engine,
        lambda connection: status.read_connectors(connection, row.id, with_errors=with_errors),
    )


def _pipeline(row: AnyRow) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "name": row.name,
        "description": "",
        "created_at": format_time(row.created_at),
        "deployment_status": row.status,
        "deployment_status_since": format_time(row.status_since),
        "program_info": None,
    }
