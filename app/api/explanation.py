"""Completion tokens explained: why one is not done yet, and when one was."""

from app.api import examples, runtime
from app.api.blueprint import Blueprint
from app.api.explanation_json import explanation_json
from app.api.explanation_schemas import ExplanationSchema
from app.api.runtime import tenant
from app.api.stats_json import dump
from app.domain.errors import CompletionTokenExpired, InvalidParam, UnknownCompletionToken
from app.domain.roles import Role
from app.domain.token import TokenId
from app.lean import LeanResponse as Response
from app.services.explain import explain
from app.store.engine import run

explanation = Blueprint(
    "explanation", __name__, url_prefix="/v0/completion_tokens", description="Completion tokens explained"
)


@explanation.route("/<token>")
@explanation.refuses(
    Role.READ, InvalidParam("token: not a completion token"), UnknownCompletionToken(), CompletionTokenExpired()
)
@explanation.response(200, ExplanationSchema, example=examples.EXPLANATION)
def explain_completion_token(token: str) -> Response:
    """Explain a completion token

    Required role: `read` or higher.

    Why it is not done yet, when it was, or why it never will be: a lost token is explained too, and is no error here.
    """
    here, owner, asked = runtime.current(), tenant(), TokenId.parse(token)
    retention = here.config.token_retention
    explained = run(here.engine, lambda connection: explain(connection, asked, tenant=owner, retention=retention))
    return Response(dump(explanation_json(explained)), mimetype="application/json")
