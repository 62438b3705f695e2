"""Run by alembic: where the migrations get their connection, and what ``alembic check`` compares.

Called by ``app.store.schema``, which hands a connection over, or by hand, where DATABASE_URL names the database:
``alembic -c setup.cfg upgrade head``. With ``--sql`` the statements are printed and no database is needed.
"""

import functools
import os

import sqlalchemy as sa
from alembic import context

from app.store.models import Base
from app.store.schema import migration_turn

# A list, because alembic would else apply the models' naming convention to the names that the migrations spell out.
_METADATA = [Base.metadata]


def _online(connection: sa.Connection) -> None:
    @functools.cache
    def partitions() -> frozenset[str]:
        statement = "SELECT relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p')"
        return frozenset(connection.scalars(sa.text(statement)))

    # Partitions come and go with time, and are in no model.
    context.configure(
        connection=connection,
        target_metadata=_METADATA,
        transaction_per_migration=True,
        include_name=lambda name, kind, _: kind != "table" or name not in partitions(),
    )
    with context.begin_transaction():
        context.run_migrations()


def _offline() -> None:
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        target_metadata=_METADATA,
        transaction_per_migration=True,
        literal_binds=True,
    )
    # As migration_turn does for migrations that are not printed.
    context.execute("SET lock_timeout = '5s'")
    with context.begin_transaction():
        context.run_migrations()


def _database_url() -> str:
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("DATABASE_URL must name the database")
    return url


if context.is_offline_mode():
    _offline()
elif "connection" in context.config.attributes:
    _online(context.config.attributes["connection"])
else:
    with migration_turn(_database_url()) as connection:
        _online(connection)
