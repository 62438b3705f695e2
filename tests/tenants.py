"""Tenants and their keys, for tests."""

from uuid import UUID, uuid4

import sqlalchemy as sa

from app.domain.roles import Role, command_line
from app.services.keys import create_key
from app.services.tenants import ensure_tenant


def add_tenant(connection: sa.Connection, name: str) -> UUID:
    """The id of the tenant of this name, which is made if there is none."""
    return ensure_tenant(connection, command_line(name), name)


def add_key(connection: sa.Connection, tenant: str, role: Role = Role.ADMIN, name: str | None = None) -> str:
    """A new key of the tenant, which is made if there is none."""
    add_tenant(connection, tenant)
    return str(create_key(connection, command_line(tenant), name or uuid4().hex, role)[1])
