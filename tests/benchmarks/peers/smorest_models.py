"""Peer (b)'s tables, as the ORM maps them, with what its schemas dump of a connector as properties."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from tests.benchmarks.peers import dialect

Json = Any


class Base(DeclarativeBase):
    pass


class Pipeline(Base):
    __tablename__ = "pipeline"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]


class ConnectorError(Base):
    __tablename__ = "connector_error"

    connector_id: Mapped[UUID] = mapped_column(sa.ForeignKey("connector.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))
    message: Mapped[str]


class Connector(Base):
    __tablename__ = "connector"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    pipeline_id: Mapped[UUID] = mapped_column(sa.ForeignKey("pipeline.id"))
    table_name: Mapped[str]
    connector_name: Mapped[str]
    removed_at: Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True))
    version: Mapped[int]
    recorded_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))
    recording: Mapped[str]
    interval_seconds: Mapped[float | None]
    epoch_number: Mapped[int]
    epoch_label: Mapped[str | None]
    position_version: Mapped[int]
    received: Mapped[Json | None] = mapped_column(JSONB)
    completed: Mapped[Json | None] = mapped_column(JSONB)
    completed_version: Mapped[int]
    frontier: Mapped[Json] = mapped_column(JSONB)
    total_bytes: Mapped[int]
    total_records: Mapped[int]
    buffered_records: Mapped[int]
    buffered_bytes: Mapped[int]
    num_transport_errors: Mapped[int]
    num_parse_errors: Mapped[int]
    end_of_input: Mapped[bool]
    processing_latency_p99_micros: Mapped[int | None]
    fatal_error: Mapped[str | None]
    health_status: Mapped[str | None]
    health_description: Mapped[str | None]
    paused: Mapped[bool]
    barrier: Mapped[bool]
    completed_frontier: Mapped[Json | None] = mapped_column(JSONB)

    pipeline: Mapped[Pipeline] = relationship()
    errors: Mapped[list[ConnectorError]] = relationship(order_by=(ConnectorError.index, ConnectorError.tag))

    @property
    def endpoint_name(self) -> str:
        return f"{self.table_name}.{self.connector_name}"

    @property
    def config(self) -> dict[str, str]:
        return {"stream": self.table_name if self.table_name == self.table_name.lower() else f'"{self.table_name}"'}

    @property
    def metrics(self) -> "Connector":
        return self

    @property
    def recorded(self) -> "Connector":
        return self

    @property
    def parse_errors(self) -> list[ConnectorError]:
        return [error for error in self.errors if error.kind == "parse"]

    @property
    def transport_errors(self) -> list[ConnectorError]:
        return [error for error in self.errors if error.kind == "transport"]

    @property
    def health(self) -> dict[str, str | None] | None:
        age = dialect.stale_seconds(self.recorded_at, self.interval_seconds, datetime.now(UTC))
        if age is not None:
            return {"status": "Unhealthy", "description": f"no report for {age:.0f} s"}
        if self.health_status is None:
            return None
        return {"status": self.health_status, "description": self.health_description}


class ConnectorEpoch(Base):
    __tablename__ = "connector_epoch"

    connector_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    completed_version: Mapped[int | None]
    ended_at: Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True))


class CompletionToken(Base):
    __tablename__ = "completion_token"
    __table_args__ = (
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"]),
        sa.ForeignKeyConstraint(
            ["connector_id", "epoch_number"], ["connector_epoch.connector_id", "connector_epoch.number"]
        ),
    )

    connector_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    epoch_number: Mapped[int]
    binding: Mapped[int]
    issued_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    issued_by: Mapped[str]

    connector: Mapped[Connector] = relationship(overlaps="epoch")
    epoch: Mapped[ConnectorEpoch] = relationship(overlaps="connector")
