"""Checking completion tokens (design §2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from app.domain import names
from app.domain.errors import InvalidParam, TidemarkError, UnknownCompletionToken, UnknownPipelineName
from app.domain.token import TokenId, TokenStatus, check_age, evaluate
from app.store import tokens
from app.store.tokens import Found, Place


@dataclass(frozen=True, slots=True)
class Asked:
    """A token as a client sent it, and the tenant's pipeline that it should belong to; None: any of the tenant's."""

    tenant: UUID
    pipeline: str | None
    token: str

    @property
    def id(self) -> TokenId | None:
        """None for what is no token."""
        try:
            return TokenId.parse(self.token)
        except InvalidParam:
            return None


@dataclass(frozen=True, slots=True)
class Checked:
    """A token's status, and the version of which epoch it waits for."""

    status: TokenStatus
    epoch_number: int
    binding: int


def check(connection: Connection, asked: Sequence[Asked], *, retention: timedelta) -> list[Checked | TidemarkError]:
    """The status of each token, in their order, or what stands against it.

    That is the first of UnknownPipelineName, InvalidParam for what is no token, CompletionTokenExpired,
    UnknownCompletionToken, UnknownEndpointInCompletionToken and PipelineRestarted.
    """
    wanted = [Place(each.tenant, _pipeline_id(each), each.id) for each in asked]
    found = tokens.find(connection, wanted)
    return [
        _judged(each, place.token, known, retention) for each, place, known in zip(asked, wanted, found, strict=True)
    ]


def _pipeline_id(asked: Asked) -> UUID | None:
    return None if asked.pipeline is None else names.pipeline_id(asked.tenant, asked.pipeline)


def _judged(asked: Asked, token: TokenId | None, found: Found, retention: timedelta) -> Checked | TidemarkError:
    try:
        if asked.pipeline is not None and not found.pipeline_known:
            raise UnknownPipelineName(asked.pipeline)
        token = token or TokenId.parse(asked.token)  # which says why it is none
        check_age(token, found.now, retention)
        if found.record is None:
            raise UnknownCompletionToken
        return Checked(evaluate(found.record), found.record.epoch_number, found.record.binding)
    except TidemarkError as error:
        return error
