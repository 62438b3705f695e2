"""Completion tokens: whether they are complete."""

from flask import request

from app.api import examples, runtime
from app.api.blueprint import Blueprint
from app.api.runtime import tenant
from app.api.schemas import CompletionStatusSchema
from app.api.stats_json import dump
from app.domain.errors import (
    CompletionTokenExpired,
    InvalidParam,
    PipelineRestarted,
    UnknownCompletionToken,
    UnknownEndpointInCompletionToken,
    UnknownPipelineName,
)
from app.domain.names import pipeline_name
from app.domain.roles import Role
from app.domain.token import TokenStatus
from app.lean import LeanResponse as Response
from app.services.check import Asked

tokens = Blueprint("tokens", __name__, url_prefix="/v0", description="Completion tokens")

COMPLETE_SECONDS = 60
"""How long nginx may go on saying *complete*. It stays true for ever, but a revoked key must not hear it for ever."""

_TOKEN = examples.parameter("token", "query", "A completion token.", examples.TOKEN["token"], {"type": "string"})


@tokens.route("/pipelines/<pipeline>/completion_status")
@tokens.refuses(
    Role.READ,
    InvalidParam("token: not a completion token"),
    UnknownPipelineName("demo"),
    UnknownCompletionToken(),
    PipelineRestarted(token_epoch=1, current_epoch=2),
    UnknownEndpointInCompletionToken(),
    CompletionTokenExpired(),
)
@tokens.response(200, CompletionStatusSchema, example={"status": "complete", "step": 9}, description="Complete.")
@tokens.alt_response(
    202,
    schema=CompletionStatusSchema,
    example={"status": "inprogress", "step": None},
    description="In progress.",
    success=True,
)
@tokens.doc(parameters=[_TOKEN | {"required": True}])
def read_completion_status(pipeline: str) -> Response:
    """Check a completion token

    Required role: `read` or higher.

    A complete token stays complete. One that can never complete is an error, never *inprogress*.
    """
    tokens_given = request.args.getlist("token")
    token = tokens_given[0] if len(tokens_given) == 1 else ""
    checked = runtime.current().check(Asked(tenant(), pipeline_name(pipeline), token))
    complete = checked.status is TokenStatus.COMPLETE
    body = {"status": checked.status.value, "step": checked.binding if complete else None}
    response = Response(dump(body), 200 if complete else 202, mimetype="application/json")
    if complete:
        response.headers["X-Accel-Expires"] = str(COMPLETE_SECONDS)
    return response
