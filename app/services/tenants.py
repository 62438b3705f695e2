"""Tenants: made, and recorded in the audit by the same transaction."""

from uuid import UUID

from sqlalchemy import Connection

from app.domain.api_key import ApiKeyText
from app.domain.audit import Action
from app.domain.errors import TenantNameInUse
from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Principal
from app.services.keys import create_first_key
from app.store import audit, tenants
from app.store.tenants import TenantRecord


def make_tenant(
    connection: Connection, by: Principal, name: str, admin_key: str | None = None
) -> tuple[TenantRecord, ApiKeyText | None]:
    """A new tenant and, if it is given a name, its first API key.

    Raises InvalidParam for a name that none can have, and TenantNameInUse: into a tenant that exists nobody gets.
    """
    tenant = _add(connection, by, name)
    if tenant is None:
        raise TenantNameInUse(name)
    return tenant, None if admin_key is None else create_first_key(connection, by, tenant.id, admin_key)


def ensure_tenant(connection: Connection, by: Principal, name: str) -> UUID:
    """The id of the tenant of this name, which is made if there is none. Raises InvalidParam for no name."""
    _add(connection, by, name)
    return tenant_id(name)


def _add(connection: Connection, by: Principal, name: str) -> TenantRecord | None:
    tenant = tenants.add(connection, name)
    if tenant is not None:  # recorded for the operators: a tenant's own audit begins with its first key
        details = {"id": str(tenant.id), "name": name}
        audit.record(connection, tenant_id(DEFAULT_TENANT), Action.TENANT_CREATED, details, by=by)
    return tenant
