"""Checking completion tokens (design §2)."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from app.domain import names
from app.domain.errors import InvalidParam, UnknownCompletionToken, UnknownPipelineName
from app.domain.token import TokenId, TokenStatus, check_age, evaluate
from app.store import status, tokens


@dataclass(frozen=True, slots=True)
class Checked:
    """A token's status and the version it waits for."""

    status: TokenStatus
    binding: int


def check(connection: Connection, tenant: UUID, pipeline: str, token: str, *, retention: timedelta) -> Checked:
    """The status of the token, which must be of this tenant's pipeline.

    Raises, in this order: UnknownPipelineName, UnknownCompletionToken, InvalidParam for what is no token,
    CompletionTokenExpired, UnknownEndpointInCompletionToken, PipelineRestarted.
    """
    pipeline_id = names.pipeline_id(tenant, pipeline)
    try:
        token_id = TokenId.parse(token)
    except InvalidParam:
        if not status.pipeline_exists(connection, pipeline_id):
            raise UnknownPipelineName(pipeline) from None
        raise
    found = tokens.find(connection, pipeline_id, pipeline, token_id)
    check_age(token_id, found.now, retention)
    if found.record is None:
        raise UnknownCompletionToken
    return Checked(evaluate(found.record), found.record.binding)
