"""Checking completion tokens (design §2)."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from app.domain import names
from app.domain.errors import InvalidParam, TidemarkError, UnknownCompletionToken, UnknownPipelineName
from app.domain.token import TokenId, TokenStatus, check_age, evaluate
from app.store import tokens
from app.store.tokens import Found


@dataclass(frozen=True, slots=True)
class Asked:
    """A token as a client sent it, and the tenant's pipeline that it should belong to."""

    tenant: UUID
    pipeline: str
    token: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A token's status and the version it waits for."""

    status: TokenStatus
    binding: int


def check(connection: Connection, asked: Sequence[Asked], *, retention: timedelta) -> list[Checked | TidemarkError]:
    """The status of each token, in their order, or what stands against it.

    That is the first of UnknownPipelineName, InvalidParam for what is no token, CompletionTokenExpired,
    UnknownCompletionToken, UnknownEndpointInCompletionToken and PipelineRestarted.
    """
    parsed = [_parsed(each.token) for each in asked]
    pipelines = [names.pipeline_id(each.tenant, each.pipeline) for each in asked]
    found = tokens.find(connection, list(zip(pipelines, parsed, strict=True)))
    return [_judged(each, token, known, retention) for each, token, known in zip(asked, parsed, found, strict=True)]


def _parsed(text: str) -> TokenId | None:
    with suppress(InvalidParam):
        return TokenId.parse(text)
    return None


def _judged(asked: Asked, token: TokenId | None, found: Found, retention: timedelta) -> Checked | TidemarkError:
    try:
        if not found.pipeline_known:
            raise UnknownPipelineName(asked.pipeline)
        token = token or TokenId.parse(asked.token)  # which says why it is none
        check_age(token, found.now, retention)
        if found.record is None:
            raise UnknownCompletionToken
        return Checked(evaluate(found.record), found.record.binding)
    except TidemarkError as error:
        return error
