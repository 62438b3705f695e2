"""Tenants."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from app.domain.names import key_name, tenant_id
from app.store.models import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRecord:
    """What is told of a tenant."""

    id: UUID
    name: str
    created_at: datetime


def add(connection: Connection, name: str) -> TenantRecord | None:
    """The new tenant of this name, or None where there is one. Raises InvalidParam for no name."""
    statement = insert(Tenant).values(id=tenant_id(key_name(name)), name=name).on_conflict_do_nothing()
    row = connection.execute(statement.returning(Tenant.id, Tenant.name, Tenant.created_at)).one_or_none()
    return None if row is None else TenantRecord(id=row.id, name=row.name, created_at=row.created_at)


def read_page(connection: Connection, after: str, limit: int) -> Sequence[TenantRecord]:
    """The first tenants, at most ``limit``, whose names come after this one, by name in the order of bytes."""
    name = Tenant.name.collate("C")
    statement = select(Tenant.id, Tenant.name, Tenant.created_at).where(name > after).order_by(name).limit(limit)
    return [TenantRecord(id=row.id, name=row.name, created_at=row.created_at) for row in connection.execute(statement)]
