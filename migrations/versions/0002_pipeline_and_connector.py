"""Pipelines, and connectors with their epochs, errors and events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pipeline",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="Running", nullable=False),
        sa.Column("status_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("incarnation", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('Running', 'Paused', 'Stopped')", name="ck_pipeline_status"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_pipeline_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_pipeline_tenant_id_name"),
    )
    op.create_table(
        "connector",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("pipeline_id", sa.Uuid(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("connector_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recording", sa.Text(), nullable=False),
        sa.Column("interval_seconds", sa.Double(), nullable=True),
        sa.Column("last_epoch", sa.BigInteger(), nullable=False),
        sa.Column("epoch_number", sa.BigInteger(), nullable=False),
        sa.Column("epoch_label", sa.Text(), nullable=True),
        sa.Column("position_version", sa.BigInteger(), nullable=False),
        sa.Column("received", JSONB(), nullable=True),
        sa.Column("completed", JSONB(), nullable=True),
        sa.Column("completed_version", sa.BigInteger(), nullable=False),
        sa.Column("frontier", JSONB(), nullable=False),
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
        sa.Column("health_description", sa.Text(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("barrier", sa.Boolean(), nullable=False),
        sa.Column("completed_frontier", JSONB(), nullable=True),
        sa.CheckConstraint("health_status IN ('Healthy', 'Unhealthy')", name="ck_connector_health_status"),
        sa.CheckConstraint("recording IN ('sampled', 'synchronous')", name="ck_connector_recording"),
        sa.CheckConstraint("(epoch_number > 0) = (received IS NOT NULL)", name="ck_connector_position_has_epoch"),
        sa.CheckConstraint("completed_version BETWEEN 0 AND version", name="ck_connector_completed_version"),
        sa.CheckConstraint("position_version BETWEEN 0 AND version", name="ck_connector_position_version"),
        sa.CheckConstraint("epoch_number BETWEEN 0 AND last_epoch", name="ck_connector_epoch_number"),
        sa.CheckConstraint("interval_seconds > 0", name="ck_connector_interval_seconds"),
        sa.CheckConstraint(
            "least(total_bytes, total_records, buffered_records, buffered_bytes, num_transport_errors,"
            " num_parse_errors, processing_latency_p99_micros) >= 0",
            name="ck_connector_counters_not_negative",
        ),
        sa.CheckConstraint("received IS NOT NULL OR completed IS NULL", name="ck_connector_completed_has_received"),
        sa.CheckConstraint("removed_at IS NULL OR epoch_number = 0", name="ck_connector_removed_has_no_epoch"),
        sa.CheckConstraint("version >= 1", name="ck_connector_version"),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipeline.id"], name="fk_connector_pipeline_id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_connector_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_connector"),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_connector_pipeline_id", "connector", ["pipeline_id", "table_name", "connector_name"], unique=False
    )
    op.create_table(
        "connector_epoch",
        sa.Column("connector_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("first_version", sa.BigInteger(), nullable=False),
        sa.Column("completed_version", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("(ended_at IS NULL) = (completed_version IS NULL)", name="ck_connector_epoch_frozen_at_end"),
        sa.CheckConstraint("ended_at IS NOT NULL OR NOT removed", name="ck_connector_epoch_removed_has_ended"),
        sa.CheckConstraint("number >= 1", name="ck_connector_epoch_number"),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], name="fk_connector_epoch_connector_id"),
        sa.PrimaryKeyConstraint("connector_id", "number", name="pk_connector_epoch"),
    )
    op.create_table(
        "connector_error",
        sa.Column("connector_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('parse', 'transport')", name="ck_connector_error_kind"),
        sa.CheckConstraint("index >= 1", name="ck_connector_error_index"),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], name="fk_connector_error_connector_id"),
        sa.PrimaryKeyConstraint("connector_id", "kind", "tag", "index", name="pk_connector_error"),
    )
    op.create_table(
        "connector_event",
        sa.Column("connector_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('created', 'restored', 'removed', 'paused', 'resumed', 'failed', 'recovered', 'health',"
            " 'epoch', 'rewound')",
            name="ck_connector_event_kind",
        ),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], name="fk_connector_event_connector_id"),
        sa.PrimaryKeyConstraint("connector_id", "version", "kind", name="pk_connector_event"),
    )


def downgrade() -> None:
    op.drop_table("connector_event")
    op.drop_table("connector_error")
    op.drop_table("connector_epoch")
    op.drop_table("connector")
    op.drop_table("pipeline")
