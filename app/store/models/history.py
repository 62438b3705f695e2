"""The past: what was observed, what it was rolled up to, what happened."""

from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, Date, DateTime, Index, Table, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base, ConnectorKey, Count, Created, Json, Records, Timestamp
from app.store.models.connector import Reported


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


packed_observation = Table(
    "packed_observation",
    Base.metadata,
    Column("connector_id", Uuid, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("last_completed_version", BigInteger, nullable=False),
    *(
        Column(column.name, ARRAY(column.type), nullable=False)
        for column in Observation.__table__.columns
        if column.name != "connector_id"
    ),
    postgresql_partition_by="RANGE (day)",
)
"""A connector's observations of a day, in the order of their versions: an array for each of `Observation`'s columns.

Of so many that one row would be long there are several, numbered from 0. What is newest in each stands beside, to
be found without unpacking. The view `observed` has these and the others as rows. No foreign key, as for tokens.
"""


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
