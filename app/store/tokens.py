"""Completion tokens: issued and checked, each in one statement (design §2)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from app.domain import token as rules
from app.domain.errors import (
    NoStreamPosition,
    PipelineInteractionNotDeployed,
    UnknownCompletionToken,
    UnknownInputEndpoint,
    UnknownPipelineName,
)
from app.domain.names import Address
from app.domain.token import TokenId, TokenRecord
from app.store.engine import AnyRow, statement
from app.store.status import STOPPED

TOKEN_CHANNEL = "tidemark_token"  # noqa: S105 - where an issue is notified, with the connector's id


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and the version of its connector that it was issued at."""

    token: TokenId
    version: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the database knows of a token; ``record`` is None when there is no such token in the pipeline."""

    record: TokenRecord | None
    now: datetime  # of the database's clock


def issue(connection: Connection, address: Address, *, issued_by: str, hinted_version: int) -> Issued:
    """Inserts a token on the connector and answers it; it is durable once this statement has committed.

    ``hinted_version`` is the version for which this process last notified the collectors: they are notified again
    only of a newer one. Raises UnknownPipelineName, UnknownInputEndpoint, PipelineInteractionNotDeployed and
    NoStreamPosition.
    """
    parameters = {
        "connector_id": address.id,
        "pipeline_id": address.pipeline_id,
        "sampled_ahead": rules.SAMPLED_AHEAD,
        "issued_by": issued_by,
        "hinted": hinted_version,
    }
    row = connection.execute(statement("issue_token"), parameters).one_or_none()
    if row is None:
        raise UnknownPipelineName(address.pipeline)
    if row.connector_id is None:
        raise UnknownInputEndpoint(address.endpoint)
    if row.pipeline_status == STOPPED:
        raise PipelineInteractionNotDeployed(address.pipeline)
    if row.token_id is None:
        raise NoStreamPosition
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


def find(connection: Connection, pipeline_id: UUID, pipeline: str, token: TokenId) -> Found:
    """The token's record within the pipeline; raises UnknownPipelineName."""
    parameters = {"pipeline_id": pipeline_id, "connector_id": token.connector_id, "token_id": token.id}
    row = connection.execute(statement("check_token"), parameters).one_or_none()
    if row is None:
        raise UnknownPipelineName(pipeline)
    if row.token_id is None:
        return Found(None, row.now)
    return Found(_record(row), row.now)


def _record(row: AnyRow) -> TokenRecord:
    return TokenRecord(
        epoch_number=row.epoch_number,
        binding=row.binding,
        removed=row.removed,
        current_epoch_number=row.current_epoch_number,
        completed_version=row.completed_version,
        epoch_ended=row.epoch_ended,
    )
