"""What is read of connectors and pipelines, and pipelines' own status."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, case, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.errors import (
    PipelineInteractionNotDeployed,
    TidemarkError,
    UnknownInputEndpoint,
    UnknownPipelineName,
)
from app.domain.names import Address
from app.store.engine import AnyRow, array, statement
from app.store.models import Pipeline

STOPPED = "Stopped"
PIPELINE_STATUSES = ("Running", "Paused", STOPPED)


@dataclass(frozen=True, slots=True)
class StatsQuery:
    """A connector to be read, and the version of it that is known already, of which no more is told; 0: none."""

    address: Address
    known: int = 0


def read_stats(connection: Connection, queries: Sequence[StatsQuery]) -> list[AnyRow | TidemarkError]:
    """The connectors' rows of ``sql/read_stats.sql``, in their order.

    UnknownPipelineName, UnknownInputEndpoint or PipelineInteractionNotDeployed stands for one that is not to be read.
    """
    addresses = [query.address for query in queries]
    parameters = {
        "connectors": array(address.id for address in addresses),
        "pipelines": array(address.pipeline_id for address in addresses),
        "known": array(query.known for query in queries),
    }
    rows = connection.execute(statement("read_stats"), parameters).all()
    return [_readable(address, row) for address, row in zip(addresses, rows, strict=True)]


def _readable(address: Address, row: AnyRow) -> AnyRow | TidemarkError:
    if row.pipeline_status is None:
        return UnknownPipelineName(address.pipeline)
    if row.id is None:
        return UnknownInputEndpoint(address.endpoint)
    if row.pipeline_status == STOPPED:
        return PipelineInteractionNotDeployed(address.pipeline)
    return row


def read_connectors(connection: Connection, pipeline: UUID, *, with_errors: bool) -> Sequence[AnyRow]:
    """The rows of a pipeline's connectors, with the columns of ``sql/read_stats.sql``, by endpoint name.

    Without errors their member ``errors`` is null.
    """
    return connection.execute(
        statement("read_pipeline_stats"), {"pipeline_id": pipeline, "with_errors": with_errors}
    ).all()


def read_pipelines(connection: Connection, tenant: UUID) -> Sequence[AnyRow]:
    """The tenant's pipelines, by name."""
    return connection.execute(select(*_PIPELINE).where(Pipeline.tenant_id == tenant).order_by(Pipeline.name)).all()


def read_pipeline(connection: Connection, pipeline: UUID, name: str) -> AnyRow:
    """One pipeline; raises UnknownPipelineName."""
    row = connection.execute(select(*_PIPELINE).where(Pipeline.id == pipeline)).one_or_none()
    if row is None:
        raise UnknownPipelineName(name)
    return row


def write_pipeline(connection: Connection, tenant: UUID, pipeline: UUID, name: str, status: str) -> bool:
    """Records a pipeline's status; answers whether the pipeline was unknown before.

    A pipeline that leaves Stopped is a new incarnation, started now.
    """
    values = {"id": pipeline, "tenant_id": tenant, "name": name, "status": status}
    # Not an upsert: that takes one unique index as its arbiter, and violates the other when two insert at once.
    new = insert(Pipeline).values(values).on_conflict_do_nothing().returning(Pipeline.id)
    if connection.scalar(new) is not None:
        return True
    starts = (Pipeline.status == STOPPED) & (literal(status) != STOPPED)
    known = (
        update(Pipeline)
        .where(Pipeline.id == pipeline)
        .values(
            status=status,
            status_since=case((Pipeline.status != status, func.now()), else_=Pipeline.status_since),
            incarnation=case((starts, func.gen_random_uuid()), else_=Pipeline.incarnation),
            started_at=case((starts, func.now()), else_=Pipeline.started_at),
        )
    )
    connection.execute(known)
    return False


_PIPELINE = (
    Pipeline.id,
    Pipeline.name,
    Pipeline.status,
    Pipeline.status_since,
    Pipeline.incarnation,
    Pipeline.started_at,
    Pipeline.created_at,
)
