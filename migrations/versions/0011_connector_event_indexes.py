"""The indexes of transitions by time, and of removals, by which a connector's time ends where it was removed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TIME, _REMOVAL = "ix_connector_event_time", "ix_connector_event_removal"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for index in (_TIME, _REMOVAL):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")  # what a try before has left unfinished
        op.create_index(
            _TIME, "connector_event", ["connector_id", "at"], postgresql_concurrently=True, if_not_exists=True
        )
        op.create_index(
            _REMOVAL,
            "connector_event",
            ["connector_id", "version"],
            postgresql_where=sa.text("kind = 'removed'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for index in (_TIME, _REMOVAL):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
