"""Completion tokens, partitioned by the time in their id."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "completion_token",
        sa.Column("connector_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("epoch_number", sa.BigInteger(), nullable=False),
        sa.Column("binding", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("issued_by", sa.Text(), nullable=False),
        sa.CheckConstraint("binding >= 1", name="ck_completion_token_binding"),
        sa.CheckConstraint("epoch_number >= 1", name="ck_completion_token_epoch_number"),
        sa.PrimaryKeyConstraint("connector_id", "id", name="pk_completion_token"),
        postgresql_partition_by="RANGE (id)",
    )
    # For an id of a day whose partition nobody has made in time; the maintenance empties it again.
    op.execute("CREATE TABLE completion_token_default PARTITION OF completion_token DEFAULT")


def downgrade() -> None:
    op.drop_table("completion_token")
