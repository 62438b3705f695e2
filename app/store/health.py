"""Whether the database can be relied upon."""

import logging
from collections.abc import Mapping

from sqlalchemy import Connection, Engine, text

from app.config import Config, ConfigError
from app.store import schema
from app.store.engine import run
from app.store.roles import strong

_log = logging.getLogger(__name__)

DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")
"""The checks of what a crash leaves behind.

With one of these settings off, a crash forgets commits that were acknowledged, and tokens with them, or tears pages of
which half were written. Worse: versions are then given a second time, and a token may be complete too early.
"""


ROLE = "role"
"""The check that the database role is no more than the app's: see `roles.strong`."""


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
        ROLE: not strong(connection),
    }


def failed(checks: Mapping[str, bool], config: Config) -> list[str]:
    """Those of the checks that did not pass and that the configuration does not put up with."""
    tolerated = {*(DURABILITY if config.allow_unsafe_database else ()), *(() if config.require_app_role else (ROLE,))}
    return [name for name, passed in checks.items() if not passed and name not in tolerated]


def refuse_unsafe(engine: Engine, config: Config) -> None:
    """Raises ConfigError for a server that does not keep what it acknowledges, a standby, or too strong a role.

    Of the first and the last the configuration may only want to be told. Raises ServiceUnavailable.
    """
    _refuse_strong(engine, required=config.require_app_role)
    checks = run(engine, check)
    dangers = [f"{name} is off" for name in DURABILITY if not checks[name]]
    dangers += [] if checks["primary"] else ["it is a standby"]
    if not dangers:
        return
    if not config.allow_unsafe_database:
        raise ConfigError(
            f"DATABASE_URL: no token is safe on this server: {', '.join(dangers)}. Mend that; only where tokens may be "
            "lost or complete too early, set ALLOW_UNSAFE_DATABASE=1"
        )
    _log.warning("ALLOW_UNSAFE_DATABASE=1: after a crash tokens may be lost or complete too early: %s", dangers)


def _refuse_strong(engine: Engine, *, required: bool) -> None:
    if not (strength := run(engine, strong)):
        return
    reasons = f"its role {', '.join(strength)}"
    if required:
        raise ConfigError(
            f"DATABASE_URL: {reasons}, and REQUIRE_APP_ROLE=1: use the app's role, which tidemark db roles makes"
        )
    _log.info("the database role is stronger than it need be: %s; see REQUIRE_APP_ROLE", reasons)
