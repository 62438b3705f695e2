"""Observations, partitioned by day."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "observation",
        sa.Column("connector_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("epoch_number", sa.BigInteger(), nullable=False),
        sa.Column("received", JSONB(), nullable=True),
        sa.Column("completed", JSONB(), nullable=True),
        sa.Column("completed_version", sa.BigInteger(), nullable=False),
        sa.Column("lag_records", sa.Numeric(), nullable=True),
        sa.Column("lag_seconds", sa.Double(), nullable=True),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_records", sa.BigInteger(), nullable=False),
        sa.Column("buffered_records", sa.BigInteger(), nullable=False),
        sa.Column("buffered_bytes", sa.BigInteger(), nullable=False),
        sa.Column("num_transport_errors", sa.BigInteger(), nullable=False),
        sa.Column("num_parse_errors", sa.BigInteger(), nullable=False),
        sa.Column("end_of_input", sa.Boolean(), nullable=False),
        sa.Column("processing_latency_p99_micros", sa.BigInteger(), nullable=True),
        sa.Column("fatal_error", sa.Text(), nullable=True),
        sa.Column("health_status", sa.Text(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("barrier", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connector_id", "recorded_at", "version", name="pk_observation"),
        postgresql_partition_by="RANGE (recorded_at)",
    )
    # For a day whose partition nobody has made in time; the maintenance empties it again.
    op.execute("CREATE TABLE observation_default PARTITION OF observation DEFAULT")


def downgrade() -> None:
    op.drop_table("observation")
