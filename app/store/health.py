"""Whether the database can be relied upon."""

from sqlalchemy import Connection, text

from app.store import schema


def check(connection: Connection) -> dict[str, bool]:
    """The checks of readiness by name: a database that fails one may lose or refuse what it is given.

    With ``synchronous_commit`` off, or ``fsync``, a crash forgets commits that were acknowledged, and a token with
    them.
    """
    row = connection.execute(
        text(
            "SELECT NOT pg_is_in_recovery() AS is_primary, current_setting('fsync') AS fsync,"
            " current_setting('synchronous_commit') AS synchronous_commit"
        )
    ).one()
    return {
        "database": True,
        "migrated": schema.is_current(connection),
        "primary": row.is_primary,
        "fsync": row.fsync == "on",
        "synchronous_commit": row.synchronous_commit != "off",
    }
