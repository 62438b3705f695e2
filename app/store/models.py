"""The schema (design §3), as typed models. The migrations in ``migrations/`` build it; a test holds the two equal."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Timestamp = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Created = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
Count = Annotated[int, mapped_column(BigInteger)]
Records = Annotated[Decimal, mapped_column(Numeric)]  # a sum over components: may pass 2^63
Json = Annotated[Any, mapped_column(JSONB(none_as_null=True))]
ConnectorKey = Annotated[UUID, mapped_column(Uuid, ForeignKey("connector.id"), primary_key=True)]


class Base(DeclarativeBase):
    """Every constraint has a stable name: the store translates driver errors by it, migrations drop by it."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar = {str: Text, datetime: DateTime(timezone=True), UUID: Uuid, bytes: LargeBinary}


class Tenant(Base):
    """Whose pipelines they are. The id is the UUIDv5 of the name the tenant was created with."""

    __tablename__ = "tenant"
    __table_args__ = (UniqueConstraint("name"), CheckConstraint("name <> ''", name="name_not_empty"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[Created]


class ApiKey(Base):
    """A credential. Only the digest of its secret is kept; a revoked key stays, for the record of who did what."""

    __tablename__ = "api_key"
    __table_args__ = (
        CheckConstraint("octet_length(digest) = 32", name="digest_sha256"),
        CheckConstraint("role IN ('read', 'write', 'admin')", name="role"),
        Index(
            "uq_api_key_tenant_id_name_active",
            "tenant_id",
            "name",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    name: Mapped[str]
    digest: Mapped[bytes]
    role: Mapped[str]
    created_at: Mapped[Created]
    expires_at: Mapped[Timestamp | None]
    revoked_at: Mapped[Timestamp | None]  # to come, while a rotated key is still in its grace
    last_used_at: Mapped[Timestamp | None]  # the hour of it; written at most once an hour


class AuditEvent(Base):
    """What somebody has done, or was denied. Append-only: a trigger refuses everything but an insert.

    The key is random, and no sequence: its gaps would tell a tenant how much the others do.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        CheckConstraint(
            "action IN ('key.created', 'key.rotated', 'key.revoked', 'tenant.created', 'connector.removed', 'denied')",
            name="action",
        ),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    at: Mapped[Timestamp] = mapped_column(primary_key=True, server_default=func.clock_timestamp())
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    action: Mapped[str]
    actor: Mapped[str | None]  # null: not known
    key_id: Mapped[str | None]  # the API key that came with the request, which need not have been valid
    details: Mapped[Json]


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


class CompletionToken(Base):
    """A token. Nothing is written to it after its insert; it goes when its partition is dropped.

    No foreign key: it would lock, and so write to, the connector's hot row at every issue. A connector's row is
    never deleted, and the one statement that inserts here reads it.
    """

    __tablename__ = "completion_token"
    __table_args__ = (
        CheckConstraint("epoch_number >= 1", name="epoch_number"),
        CheckConstraint("binding >= 1", name="binding"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    connector_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)  # UUIDv7
    epoch_number: Mapped[Count]
    binding: Mapped[Count]
    issued_at: Mapped[Created]
    issued_by: Mapped[str]


class Observation(Reported, Base):
    """An accepted report, thinned; never read by the token protocol. No foreign key, as for tokens."""

    __tablename__ = "observation"
    __table_args__ = ({"postgresql_partition_by": "RANGE (recorded_at)"},)

    connector_id: Mapped[UUID] = mapped_column(primary_key=True)
    recorded_at: Mapped[Timestamp] = mapped_column(primary_key=True)
    version: Mapped[Count] = mapped_column(primary_key=True)
    epoch_number: Mapped[Count]
    received: Mapped[Json | None]
    completed: Mapped[Json | None]
    completed_version: Mapped[Count]
    lag_records: Mapped[Records | None]
    lag_seconds: Mapped[float | None]
    progress: Mapped[str | None]  # null: not known
    interval_seconds: Mapped[float | None]


class RolledUp:
    """What is kept of a connector's time from ``starts_at`` on, for an hour or a day (UTC): docs/history.md.

    No row: nobody knows anything of that time. No foreign key, as for tokens.
    """

    connector_id: Mapped[UUID] = mapped_column(primary_key=True)
    starts_at: Mapped[Timestamp] = mapped_column(primary_key=True)
    computed_at: Mapped[Timestamp]
    observations: Mapped[Count]
    reports: Mapped[Count]  # accepted ones, whether observed or not

    # How far what is counted has moved forward; null where there is nothing to compare with.
    received_delta: Mapped[Records | None]
    completed_delta: Mapped[Records | None]
    records_delta: Mapped[Records | None]  # of total_records
    bytes_delta: Mapped[Records | None]
    parse_errors: Mapped[Records | None]
    transport_errors: Mapped[Records | None]
    failures: Mapped[Count]  # times that it failed
    epochs: Mapped[Count]  # opened

    lag_records_min: Mapped[Records | None]
    lag_records_avg: Mapped[float | None]
    lag_records_max: Mapped[Records | None]
    lag_records_p95: Mapped[Records | None]
    lag_seconds_min: Mapped[float | None]
    lag_seconds_avg: Mapped[float | None]
    lag_seconds_max: Mapped[float | None]
    lag_seconds_p95: Mapped[float | None]

    # Seconds in each lifecycle; unknown: while it was there, but not reporting.
    running_seconds: Mapped[float]
    paused_seconds: Mapped[float]
    finished_seconds: Mapped[float]
    failed_seconds: Mapped[float]
    unknown_seconds: Mapped[float]
    # In each progress, and of each health, as far as that was known.
    idle_seconds: Mapped[float]
    moving_seconds: Mapped[float]
    stalled_seconds: Mapped[float]
    rewound_seconds: Mapped[float]
    healthy_seconds: Mapped[float]
    unhealthy_seconds: Mapped[float]

    # Of the tokens issued in it. The latency, in seconds, is that of those completed when it was computed.
    tokens_issued: Mapped[Count]
    tokens_completed: Mapped[Count]
    tokens_lost: Mapped[Count]
    token_latency_avg: Mapped[float | None]
    token_latency_p50: Mapped[float | None]
    token_latency_p95: Mapped[float | None]
    token_latency_max: Mapped[float | None]


class ConnectorHourly(RolledUp, Base):
    """A connector's hour."""

    __tablename__ = "connector_hourly"
    __table_args__ = ({"postgresql_partition_by": "RANGE (starts_at)"},)


class ConnectorDaily(RolledUp, Base):
    """A connector's day."""

    __tablename__ = "connector_daily"


class Rollup(Base):
    """An hour or a day that was rolled up, of all connectors: when, and from how much. Written after its rows."""

    __tablename__ = "rollup"
    __table_args__ = (CheckConstraint("grain IN ('hour', 'day')", name="grain"),)

    grain: Mapped[str] = mapped_column(primary_key=True)
    starts_at: Mapped[Timestamp] = mapped_column(primary_key=True)
    observations: Mapped[Count]
    tokens_pending: Mapped[Count]  # of those issued in it
    computed_at: Mapped[Timestamp]


class ConnectorEvent(Base):
    """A transition of a connector: paused, failed, health, epoch, rewound, removed and the like."""

    __tablename__ = "connector_event"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('created', 'restored', 'removed', 'paused', 'resumed', 'failed', 'recovered', 'health',"
            " 'epoch', 'rewound')",
            name="kind",
        ),
        Index(
            "ix_connector_event_order",
            "tenant_id",
            "xid",
            "connector_id",
            "version",
            postgresql_where=text("tenant_id IS NOT NULL"),
        ),
        Index("ix_connector_event_time", "connector_id", "at"),
        Index("ix_connector_event_removal", "connector_id", "version", postgresql_where=text("kind = 'removed'")),
    )

    connector_id: Mapped[ConnectorKey]
    version: Mapped[Count] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[Created]
    details: Mapped[Json]
    tenant_id: Mapped[UUID | None]  # the connector's
    # Its transaction's number, which orders it: see sql/read_events.sql. Both are null in rows older than they.
    xid: Mapped[Count | None] = mapped_column(server_default=text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)"))


class Analyst(Base):
    """A database role and the one tenant whose rows it reads, by the policies in ``app/store/roles.py``."""

    __tablename__ = "analyst"

    role: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    granted_at: Mapped[Created]
