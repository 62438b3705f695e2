"""Completion tokens: issued and checked, each in one statement (design §2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from app.domain import token as rules
from app.domain.errors import (
    NoStreamPosition,
    PipelineInteractionNotDeployed,
    TidemarkError,
    UnknownCompletionToken,
    UnknownInputEndpoint,
    UnknownPipelineName,
)
from app.domain.names import Address
from app.domain.token import TokenId, TokenRecord
from app.store.engine import AnyRow, array, statement
from app.store.status import STOPPED

TOKEN_CHANNEL = "tidemark_token"  # noqa: S105 - where an issue is notified, with the connector's id


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and the version of its connector that it was issued at."""

    token: TokenId
    version: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token to be issued.

    ``hinted`` is the version for which this process last notified the collectors: they are notified again only of a
    newer one.
    """

    address: Address
    issued_by: str
    hinted: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a token is looked for: in a pipeline of the tenant, or, where that is None, in all of them."""

    tenant: UUID
    pipeline_id: UUID | None
    token: TokenId | None  # None: no token; only whether the pipeline is known is asked


@dataclass(frozen=True, slots=True)
class Found:
    """What the database knows of a token; ``record`` is None when there is no such token in that place."""

    pipeline_known: bool
    record: TokenRecord | None
    now: datetime  # of the database's clock


def issue(connection: Connection, wanted: Sequence[Wanted]) -> list[Issued | TidemarkError]:
    """Inserts tokens and answers them, in their order; they are durable once this statement has committed.

    UnknownPipelineName, UnknownInputEndpoint, PipelineInteractionNotDeployed or NoStreamPosition stands for one that
    could not be issued.
    """
    parameters = {
        "connectors": array(each.address.id for each in wanted),
        "pipelines": array(each.address.pipeline_id for each in wanted),
        "issued_by": [each.issued_by for each in wanted],
        "hinted": array(each.hinted for each in wanted),
        "sampled_ahead": rules.SAMPLED_AHEAD,
    }
    rows = connection.execute(statement("issue_token"), parameters).all()
    return [_issued(each.address, row) for each, row in zip(wanted, rows, strict=True)]


def _issued(address: Address, row: AnyRow) -> Issued | TidemarkError:
    if row.pipeline_status is None:
        return UnknownPipelineName(address.pipeline)
    if row.connector_id is None:
        return UnknownInputEndpoint(address.endpoint)
    if row.pipeline_status == STOPPED:
        return PipelineInteractionNotDeployed(address.pipeline)
    if row.token_id is None:
        return NoStreamPosition()
    return Issued(TokenId(address.id, row.token_id), row.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A token told for people: where it belongs, and what it waits for."""

    tenant: str
    pipeline: str
    table: str
    connector: str
    issued_at: datetime
    issued_by: str
    record: TokenRecord


def describe(connection: Connection, token: TokenId) -> Description:
    """The token of any tenant, for an operator; raises UnknownCompletionToken."""
    parameters = {"connector_id": token.connector_id, "token_id": token.id}
    row = connection.execute(statement("describe_token"), parameters).one_or_none()
    if row is None:
        raise UnknownCompletionToken
    return Description(
        tenant=row.tenant,
        pipeline=row.pipeline,
        table=row.table_name,
        connector=row.connector_name,
        issued_at=row.issued_at,
        issued_by=row.issued_by,
        record=_record(row),
    )


def find(connection: Connection, wanted: Sequence[Place]) -> list[Found]:
    """What is known of each token in its place, in their order."""
    parameters = {
        "tenants": array(place.tenant for place in wanted),
        "pipelines": array(place.pipeline_id for place in wanted),
        "connectors": array(place.token.connector_id if place.token else None for place in wanted),
        "tokens": array(place.token.id if place.token else None for place in wanted),
    }
    return [
        Found(row.pipeline_known, None if row.token_id is None else _record(row), row.now)
        for row in connection.execute(statement("check_token"), parameters)
    ]


def _record(row: AnyRow) -> TokenRecord:
    return TokenRecord(
        epoch_number=row.epoch_number,
        binding=row.binding,
        removed=row.removed,
        current_epoch_number=row.current_epoch_number,
        completed_version=row.completed_version,
        epoch_ended=row.epoch_ended,
    )
