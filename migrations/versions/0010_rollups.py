"""Rollups of the observations by hour and by day, what was computed of them, and two more columns of observations."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SECONDS = (
    *("running", "paused", "finished", "failed", "unknown"),
    *("idle", "moving", "stalled", "rewound"),
    *("healthy", "unhealthy"),
)
_LATENCIES = ("avg", "p50", "p95", "max")


def upgrade() -> None:
    # Nullable and without a default: no row is rewritten, and releases that do not name them go on writing.
    op.add_column("observation", sa.Column("progress", sa.Text(), nullable=True))
    op.add_column("observation", sa.Column("interval_seconds", sa.Double(), nullable=True))
    op.create_table(
        "connector_hourly",
        *_columns(),
        sa.PrimaryKeyConstraint("connector_id", "starts_at", name="pk_connector_hourly"),
        postgresql_partition_by="RANGE (starts_at)",
    )
    # For a month whose partition nobody has made in time; the maintenance empties it again.
    op.execute("CREATE TABLE connector_hourly_default PARTITION OF connector_hourly DEFAULT")
    op.create_table(
        "connector_daily",
        *_columns(),
        sa.PrimaryKeyConstraint("connector_id", "starts_at", name="pk_connector_daily"),
    )
    op.create_table(
        "rollup",
        sa.Column("grain", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observations", sa.BigInteger(), nullable=False),
        sa.Column("tokens_pending", sa.BigInteger(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("grain IN ('hour', 'day')", name="ck_rollup_grain"),
        sa.PrimaryKeyConstraint("grain", "starts_at", name="pk_rollup"),
    )


def downgrade() -> None:
    op.drop_table("rollup")
    op.drop_table("connector_daily")
    op.drop_table("connector_hourly")
    op.drop_column("observation", "interval_seconds")
    op.drop_column("observation", "progress")


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("connector_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observations", sa.BigInteger(), nullable=False),
        sa.Column("reports", sa.BigInteger(), nullable=False),
        sa.Column("received_delta", sa.Numeric(), nullable=True),
        sa.Column("completed_delta", sa.Numeric(), nullable=True),
        sa.Column("records_delta", sa.Numeric(), nullable=True),
        sa.Column("bytes_delta", sa.Numeric(), nullable=True),
        sa.Column("parse_errors", sa.Numeric(), nullable=True),
        sa.Column("transport_errors", sa.Numeric(), nullable=True),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("epochs", sa.BigInteger(), nullable=False),
        sa.Column("lag_records_min", sa.Numeric(), nullable=True),
        sa.Column("lag_records_avg", sa.Double(), nullable=True),
        sa.Column("lag_records_max", sa.Numeric(), nullable=True),
        sa.Column("lag_records_p95", sa.Numeric(), nullable=True),
        *(sa.Column(f"lag_seconds_{name}", sa.Double(), nullable=True) for name in ("min", "avg", "max", "p95")),
        *(sa.Column(f"{state}_seconds", sa.Double(), nullable=False) for state in _SECONDS),
        sa.Column("tokens_issued", sa.BigInteger(), nullable=False),
        sa.Column("tokens_completed", sa.BigInteger(), nullable=False),
        sa.Column("tokens_lost", sa.BigInteger(), nullable=False),
        *(sa.Column(f"token_latency_{name}", sa.Double(), nullable=True) for name in _LATENCIES),
    ]
