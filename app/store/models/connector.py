"""The present: pipelines, their connectors, and what these hold on to."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base, ConnectorKey, Count, Created, Json, Records, Timestamp


class Pipeline(Base):
    """A pipeline, with its status as last reported. The id is the UUIDv5 of tenant and name."""

    __tablename__ = "pipeline"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("status IN ('Running', 'Paused', 'Stopped')", name="status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    name: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="Running")
    status_since: Mapped[Created]
    incarnation: Mapped[UUID] = mapped_column(server_default=func.gen_random_uuid())  # new at every start
    started_at: Mapped[Created]
    created_at: Mapped[Created]


class Reported:
    """What a report says of a connector beside its position, in its present and in its history."""

    total_bytes: Mapped[Count]
    total_records: Mapped[Count]
    buffered_records: Mapped[Count]
    buffered_bytes: Mapped[Count]
    num_transport_errors: Mapped[Count]
    num_parse_errors: Mapped[Count]
    end_of_input: Mapped[bool]
    processing_latency_p99_micros: Mapped[Count | None]
    fatal_error: Mapped[str | None]
    health_status: Mapped[str | None]
    paused: Mapped[bool]
    barrier: Mapped[bool]


class Connector(Reported, Base):
    """The hot row: all of a connector's present.

    A report rewrites it in place (HOT: room on the page by the fillfactor, no index on a column a report changes).
    """

    __tablename__ = "connector"
    __table_args__ = (
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("completed_version BETWEEN 0 AND version", name="completed_version"),
        CheckConstraint("position_version BETWEEN 0 AND version", name="position_version"),
        CheckConstraint("recording IN ('sampled', 'synchronous')", name="recording"),
        CheckConstraint("interval_seconds > 0", name="interval_seconds"),
        CheckConstraint("epoch_number BETWEEN 0 AND last_epoch", name="epoch_number"),
        CheckConstraint("(epoch_number > 0) = (received IS NOT NULL)", name="position_has_epoch"),
        CheckConstraint("received IS NOT NULL OR completed IS NULL", name="completed_has_received"),
        CheckConstraint("removed_at IS NULL OR epoch_number = 0", name="removed_has_no_epoch"),
        CheckConstraint(
            "least(total_bytes, total_records, buffered_records, buffered_bytes, num_transport_errors,"
            " num_parse_errors, processing_latency_p99_micros) >= 0",
            name="counters_not_negative",
        ),
        CheckConstraint("health_status IN ('Healthy', 'Unhealthy')", name="health_status"),
        CheckConstraint("progress IN ('idle', 'moving', 'stalled', 'rewound')", name="progress"),
        CheckConstraint("unmoved >= 0", name="unmoved"),
        CheckConstraint("lag_records >= 0", name="lag_records"),
        Index("ix_connector_pipeline_id", "pipeline_id", "table_name", "connector_name"),
        {"postgresql_with": {"fillfactor": "70"}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    pipeline_id: Mapped[UUID] = mapped_column(ForeignKey("pipeline.id"))
    table_name: Mapped[str]  # canonical
    connector_name: Mapped[str]
    created_at: Mapped[Created]
    removed_at: Mapped[Timestamp | None]

    version: Mapped[Count]
    recorded_at: Mapped[Timestamp]
    observed_at: Mapped[Timestamp | None]
    recording: Mapped[str]
    interval_seconds: Mapped[float | None]

    last_epoch: Mapped[Count]
    epoch_number: Mapped[Count]  # 0: no position reported (since it was removed)
    epoch_label: Mapped[str | None]
    position_version: Mapped[Count]  # the newest version that came with a position; 0: none
    received: Mapped[Json | None]
    completed: Mapped[Json | None]
    completed_version: Mapped[Count]
    frontier: Mapped[Json]  # [[version, recorded at, received position], ...], oldest first

    progress: Mapped[str | None]  # null: not known
    unmoved: Mapped[Count] = mapped_column(server_default="0")  # reports in a row: input waits, none completed
    lag_records: Mapped[Records | None]

    health_description: Mapped[str | None]
    completed_frontier: Mapped[Json | None]


class ConnectorEpoch(Base):
    """An epoch of a connector, current or closed. completed_version is frozen at its end, and null until then."""

    __tablename__ = "connector_epoch"
    __table_args__ = (
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("(ended_at IS NULL) = (completed_version IS NULL)", name="frozen_at_end"),
        CheckConstraint("ended_at IS NOT NULL OR NOT removed", name="removed_has_ended"),
    )

    connector_id: Mapped[ConnectorKey]
    number: Mapped[Count] = mapped_column(primary_key=True)
    label: Mapped[str | None]
    first_version: Mapped[Count]
    completed_version: Mapped[Count | None]
    started_at: Mapped[Created]
    ended_at: Mapped[Timestamp | None]
    removed: Mapped[bool] = mapped_column(server_default=text("false"))  # whether a removal ended it


class ConnectorError(Base):
    """A parse or transport error, deduplicated by its index; a later error of the same index replaces it."""

    __tablename__ = "connector_error"
    __table_args__ = (
        CheckConstraint("kind IN ('parse', 'transport')", name="kind"),
        CheckConstraint("index >= 1", name="index"),
    )

    connector_id: Mapped[ConnectorKey]
    kind: Mapped[str] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)  # '' stands for no tag, which a key cannot hold
    index: Mapped[Count] = mapped_column(primary_key=True)
    occurred_at: Mapped[Timestamp]
    message: Mapped[str]
