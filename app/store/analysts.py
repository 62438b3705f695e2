"""Analysts: database roles that read one tenant's rows through the views of the schema ``reporting``."""

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, Row, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from app.store.models import Analyst, Tenant
from app.store.roles import Names, RoleRefused, installed, make_role, role_name, set_password, settings, strong

CONNECTIONS = 5
# What a session begins with. All but the limit of connections it may change for itself: see docs/reporting.md.
SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "1h",
    "search_path": "reporting",
    "timezone": "UTC",
}


def grant(connection: Connection, tenant: str, role: str) -> str | None:
    """Lets a role read the tenant's rows and nobody else's; answers the password of a role that is made for it.

    To grant the same again renews what belongs to it. Raises RoleRefused for an unknown tenant, for a role that is
    another tenant's, and for one that is more than an analyst's may be.
    """
    names = installed(connection)
    if names is None:
        raise RoleRefused("this database has no roles yet: run tidemark db roles --apply")
    known = _exists(connection, role_name(role))
    connection.exec_driver_sql(make_role(role, login=True))
    _refuse_unconfined(connection, role, names)
    _record(connection, tenant, role)
    for statement in settings(connection, role, SETTINGS):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"ALTER ROLE {role} CONNECTION LIMIT {CONNECTIONS}")
    connection.exec_driver_sql(f"GRANT {names.reporting} TO {role}")
    return None if known else _give_password(connection, role)


def revoke(connection: Connection, role: str) -> None:
    """Lets a role read nothing any more, from its next statement on; raises RoleRefused for one that is no analyst."""
    names = installed(connection)
    if names is None or not connection.execute(delete(Analyst).where(Analyst.role == role)).rowcount:
        raise RoleRefused(f"the role {role!r} is no analyst's")
    if _exists(connection, role):
        connection.exec_driver_sql(f"REVOKE {names.reporting} FROM {role}")


def read(connection: Connection) -> Sequence[Row[str, str]]:
    """All analysts, by name: role, tenant."""
    columns = select(Analyst.role, Tenant.name.label("tenant"))
    return connection.execute(columns.join(Tenant, Tenant.id == Analyst.tenant_id).order_by(Analyst.role)).all()


def _refuse_unconfined(connection: Connection, role: str, names: Names) -> None:
    if strength := strong(connection, role):
        raise RoleRefused(f"the role {role} {', '.join(strength)}: it would not be confined to a tenant")
    if role == names.reporting or _member(connection, role, names.app):
        raise RoleRefused(f"the role {role} is, or belongs to, a role that this database is served by")


def _record(connection: Connection, tenant: str, role: str) -> None:
    tenant_id = connection.scalar(select(Tenant.id).where(Tenant.name == tenant))
    if tenant_id is None:
        raise RoleRefused(f"there is no tenant {tenant!r}")
    connection.execute(insert(Analyst).values(role=role, tenant_id=tenant_id).on_conflict_do_nothing())
    if connection.scalar(select(Analyst.tenant_id).where(Analyst.role == role)) != tenant_id:
        raise RoleRefused(f"the role {role} reads another tenant's rows: revoke that first")


def _exists(connection: Connection, role: str) -> bool:
    return bool(connection.scalar(text("SELECT true FROM pg_roles WHERE rolname = :role"), {"role": role}))


def _member(connection: Connection, role: str, of: str) -> bool:
    asked = text("SELECT pg_has_role(CAST(:role AS name), CAST(:of AS name), 'MEMBER')")
    return bool(connection.scalar(asked, {"role": role, "of": of}))


def _give_password(connection: Connection, role: str) -> str:
    password = secrets.token_urlsafe(24)
    set_password(connection, role, password)
    return password
