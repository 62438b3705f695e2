"""Progress and lag of connectors, as their reports leave them.

A connector's are not known until its next report. The constraints are validated by the next migration, because here the
table is locked.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_CHECKS = {
    "progress": "progress IN ('idle', 'moving', 'stalled', 'rewound')",
    "unmoved": "unmoved >= 0",
    "lag_records": "lag_records >= 0",
}


def upgrade() -> None:
    # Nullable or with a constant default: no row is rewritten, and releases that do not name them go on writing.
    op.add_column("connector", sa.Column("progress", sa.Text(), nullable=True))
    op.add_column("connector", sa.Column("unmoved", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("connector", sa.Column("lag_records", sa.Numeric(), nullable=True))
    for column, condition in _CHECKS.items():
        op.create_check_constraint(f"ck_connector_{column}", "connector", condition, postgresql_not_valid=True)


def downgrade() -> None:
    for column in reversed(_CHECKS):
        op.drop_column("connector", column)
