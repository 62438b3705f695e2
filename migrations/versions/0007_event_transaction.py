"""Whose a transition is, and the number of the transaction that records it, which orders the streams of them.

Those of before have neither, and those of a release that does not name the tenant none either: no stream tells of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connector_event", sa.Column("tenant_id", sa.Uuid(), nullable=True))
    # In two steps: a column made with this default would be written into every row, under the lock.
    op.add_column("connector_event", sa.Column("xid", sa.BigInteger(), nullable=True))
    op.alter_column(
        "connector_event", "xid", server_default=sa.text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    )


def downgrade() -> None:
    op.drop_column("connector_event", "xid")
    op.drop_column("connector_event", "tenant_id")
