"""Completion tokens: whether they are complete, and waiting until they are."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flask import request

from app import metrics
from app.api import document, examples, runtime
from app.api.blueprint import Blueprint
from app.api.errors import members
from app.api.runtime import tenant
from app.api.stats_json import dump
from app.api.token_schemas import MAX_TOKENS, CompletionStatusesSchema, CompletionStatusSchema, TokensSchema
from app.api.waiting import PREFER, WAIT, applied, asked_seconds, preferred_seconds, wait_request
from app.domain.errors import (
    CompletionTokenExpired,
    InvalidParam,
    InvalidReport,
    MalformedBody,
    PipelineRestarted,
    TidemarkError,
    TooManyRequests,
    UnknownCompletionToken,
    UnknownEndpointInCompletionToken,
    UnknownPipelineName,
)
from app.domain.names import pipeline_name
from app.domain.roles import Role
from app.domain.token import TokenStatus
from app.domain.waiting import Until, Verdict
from app.lean import LeanResponse as Response
from app.services.check import Asked, Checked, check
from app.services.wait import Outcome, outcome_of, together, wait
from app.store.deadline import patience
from app.store.engine import run

tokens = Blueprint("tokens", __name__, url_prefix="/v0", description="Completion tokens")

COMPLETE_SECONDS = 60
"""How long nginx may go on saying *complete*. It stays true for ever, but a revoked key must not hear it for ever."""

_TOKEN = examples.parameter("token", "query", "A completion token.", examples.TOKEN["token"], document.TOKEN)


@tokens.route("/pipelines/<pipeline>/completion_status")
@tokens.refuses(
    Role.READ,
    InvalidParam("token: not a completion token"),
    UnknownPipelineName("demo"),
    UnknownCompletionToken(),
    PipelineRestarted(token_epoch=1, current_epoch=2),
    UnknownEndpointInCompletionToken(),
    CompletionTokenExpired(),
    TooManyRequests(),
)
@tokens.response(200, CompletionStatusSchema, example={"status": "complete", "step": 9}, description="Complete.")
@tokens.alt_response(
    202,
    schema=CompletionStatusSchema,
    example={"status": "inprogress", "step": None},
    description="In progress.",
    success=True,
)
@tokens.doc(parameters=[_TOKEN | {"required": True}, WAIT, PREFER])
def read_completion_status(pipeline: str) -> Response:
    """Check a completion token, or wait for it

    Required role: `read` or higher.

    A complete token stays complete. One that can never complete is an error, never *inprogress*. With `wait` the answer
    comes as soon as the token is complete or lost; when the time is over it is the status as it is then.
    """
    asked = Asked(tenant(), pipeline_name(pipeline), request.args.get("token", ""))
    checked = _checked(asked, asked_seconds())
    complete = checked.status is TokenStatus.COMPLETE
    response = Response(dump(token_status(checked)), 200 if complete else 202, mimetype="application/json")
    if complete:
        response.headers["X-Accel-Expires"] = str(COMPLETE_SECONDS)
    return applied(response)


@tokens.route("/completion_status", methods=["POST"])
@tokens.refuses(
    Role.READ,
    MalformedBody(),
    InvalidReport("Invalid fields: tokens", details={"tokens": [f"Length must be between 1 and {MAX_TOKENS}."]}),
    TooManyRequests(),
)
@tokens.response(
    200,
    CompletionStatusesSchema,
    example={"status": "complete", "tokens": [examples.TOKEN | {"status": "complete", "step": 9}]},
    description="Complete, or failed: it can never become complete.",
)
@tokens.alt_response(
    202,
    schema=CompletionStatusesSchema,
    example={"status": "inprogress", "tokens": [examples.TOKEN | {"status": "inprogress", "step": None}]},
    description="In progress.",
    success=True,
)
@tokens.arguments(TokensSchema, example={"tokens": [examples.TOKEN["token"]], "until": "all", "wait": 30})
@tokens.doc(parameters=[PREFER])
def check_tokens(asked: dict[str, Any]) -> Response:
    """Check many completion tokens, or wait for all or any of them

    Required role: `read` or higher.

    The tokens may be of any connectors and pipelines. Each has its status, or the members of its error; together they
    are `complete`, `inprogress`, or `failed` where that is for ever out of reach: one of `all` is lost or unknown, or
    every one of `any`.
    """
    wanted = [Asked(tenant(), None, token) for token in asked["tokens"]]
    seconds = float(preferred_seconds() or 0) if asked["wait"] is None else asked["wait"]
    outcomes = _outcomes(wanted, seconds, asked["until"])
    verdict = together(outcomes, asked["until"])
    items = [{"token": each.token} | token_status(outcome) for each, outcome in zip(wanted, outcomes, strict=True)]
    code = 202 if verdict is Verdict.IN_PROGRESS else 200
    response = Response(dump({"status": verdict.value, "tokens": items}), code, mimetype="application/json")
    return response if asked["wait"] is not None else applied(response)


def token_status(outcome: Outcome) -> dict[str, Any]:
    """What is to be said of one of many tokens: its status, or the members of its error."""
    if isinstance(outcome, TidemarkError):
        return {"status": Verdict.FAILED.value} | members(outcome)
    complete = outcome.status is TokenStatus.COMPLETE
    return {"status": outcome.status.value, "step": outcome.binding if complete else None}


def _checked(asked: Asked, seconds: float) -> Checked:
    """The token's status, after a wait; raises what stands against it."""
    look = runtime.current().check
    if not seconds:
        return look(asked)

    (settled,) = _wait([asked], lambda _: [outcome_of(lambda: look(asked))], seconds, Until.ALL)
    if isinstance(settled, TidemarkError):
        raise settled
    return settled


def _outcomes(asked: list[Asked], seconds: float, until: Until) -> Sequence[Outcome]:
    here = runtime.current()

    def look(places: Sequence[int]) -> Sequence[Outcome]:
        work = partial(check, asked=[asked[place] for place in places], retention=here.config.token_retention)
        outcomes = run(here.engine, work)
        metrics.count_batch("check", outcomes)
        return outcomes

    return _wait(asked, look, seconds, until) if seconds else look(range(len(asked)))


def _wait(
    asked: list[Asked], look: Callable[[Sequence[int]], Sequence[Outcome]], seconds: float, until: Until
) -> Sequence[Outcome]:
    """Waits; each look has as much time at the database as a request has that does not wait."""
    here = runtime.current()

    def patient_look(places: Sequence[int]) -> Sequence[Outcome]:
        with patience(here.config.request_timeout):
            return look(places)

    return wait(here.waiters, [each.id for each in asked], patient_look, wait_request(seconds, until))
