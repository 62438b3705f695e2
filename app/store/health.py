"""Whether the database can be relied upon."""

import logging

from sqlalchemy import Connection, Engine, text

from app.config import ConfigError
from app.store import schema
from app.store.engine import run

log = logging.getLogger(__name__)

DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")
"""The checks of what a crash leaves behind.

With one of these settings off, a crash forgets commits that were acknowledged, and tokens with them, or tears pages of
which half were written. Worse: versions are then given a second time, and a token may be complete too early.
"""


def check(connection: Connection) -> dict[str, bool]:
    """The checks of readiness by name: a database that fails one may lose or refuse what it is given."""
    row = connection.execute(
        text(
            "SELECT NOT pg_is_in_recovery() AS is_primary, current_setting('fsync') AS fsync,"
            " current_setting('full_page_writes') AS full_page_writes,"
            " current_setting('synchronous_commit') AS synchronous_commit"
        )
    ).one()
    return {
        "database": True,
        "migrated": schema.is_current(connection),
        "primary": row.is_primary,
        "fsync": row.fsync == "on",
        "full_page_writes": row.full_page_writes == "on",
        "synchronous_commit": row.synchronous_commit != "off",
    }


def refuse_unsafe(engine: Engine, *, allow: bool) -> None:
    """Raises ConfigError for a server that does not keep what it acknowledges, or is a standby; ``allow`` only warns.

    Raises ServiceUnavailable.
    """
    checks = run(engine, check)
    dangers = [f"{name} is off" for name in DURABILITY if not checks[name]]
    dangers += [] if checks["primary"] else ["it is a standby"]
    if not dangers:
        return
    if not allow:
        raise ConfigError(
            f"DATABASE_URL: no token is safe on this server: {', '.join(dangers)}. Mend that; only where tokens may be "
            "lost or complete too early, set ALLOW_UNSAFE_DATABASE=1"
        )
    log.warning("ALLOW_UNSAFE_DATABASE=1: after a crash tokens may be lost or complete too early: %s", dangers)
