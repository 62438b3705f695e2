"""What the database's record needs when it was restored to an earlier point."""

from sqlalchemy import Connection

from app.store.engine import statement


def leave_lost_versions(connection: Connection) -> int:
    """Has all versions go on where the lost ones cannot have been; answers how many connectors there are."""
    return connection.execute(statement("leave_lost_versions")).rowcount
