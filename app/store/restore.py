"""What the database's record needs when it was restored to an earlier point."""

from sqlalchemy import Connection

from app.store.engine import statement

LOST_AT_MOST = 1_000_000_000
"""Versions that a connector may have had since that point: eleven days of a thousand reports a second."""


def leave_lost_versions(connection: Connection) -> int:
    """Has all versions go on where the lost ones cannot have been; answers how many connectors there are."""
    return connection.execute(statement("leave_lost_versions"), {"lost_at_most": LOST_AT_MOST}).rowcount
