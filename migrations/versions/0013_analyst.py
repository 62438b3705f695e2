"""Analysts: database roles, each of which reads one tenant's rows, and the schema of their views.

Who reads the view of connectors' activity does so with privileges of his own from now on.

Row-level security is turned on by `tidemark db roles`, which knows the roles that a policy has to name.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "analyst",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_analyst_tenant_id"),
        sa.PrimaryKeyConstraint("role", name="pk_analyst"),
    )
    op.execute("CREATE SCHEMA reporting")
    op.execute("COMMENT ON SCHEMA reporting IS 'What analysts read: docs/reporting.md'")
    op.execute("ALTER VIEW connector_activity SET (security_invoker = true)")


def downgrade() -> None:
    op.execute("ALTER VIEW connector_activity RESET (security_invoker)")
    op.execute("DROP SCHEMA reporting")
    op.drop_table("analyst")
