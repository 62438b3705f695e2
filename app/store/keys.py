"""API keys and tenants."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from app.domain.errors import ApiKeyNameInUse
from app.domain.names import key_name, tenant_id
from app.domain.roles import Principal, Role
from app.store.models import ApiKey, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What may be told of a key."""

    id: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A valid key's digest and whom it stands for."""

    digest: bytes
    principal: Principal


def add_tenant(connection: Connection, name: str) -> UUID:
    """The id of the tenant of this name, which is made if there is none. Raises InvalidParam for no name."""
    tenant = tenant_id(key_name(name))
    connection.execute(upsert(Tenant).values(id=tenant, name=name).on_conflict_do_nothing())
    return tenant


def find_tenant(connection: Connection, name: str) -> UUID | None:
    """The id of the tenant of this name, if there is one."""
    return connection.scalar(select(Tenant.id).where(Tenant.name == name))


def find_holder(connection: Connection, key_id: str) -> Holder | None:
    """The holder of the key of this id, unless it is unknown, revoked or expired."""
    row = connection.execute(
        select(ApiKey.digest, ApiKey.name, ApiKey.role, ApiKey.tenant_id, Tenant.name.label("tenant"))
        .join(Tenant, Tenant.id == ApiKey.tenant_id)
        .where(ApiKey.id == key_id, *_valid())
    ).one_or_none()
    if row is None:
        return None
    principal = Principal(name=row.name, tenant_id=row.tenant_id, tenant=row.tenant, role=Role(row.role))
    return Holder(digest=bytes(row.digest), principal=principal)


def still_valid(connection: Connection, key_ids: Sequence[str]) -> set[str]:
    """Those of the keys, by their ids, that are neither revoked nor expired."""
    return set(connection.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), *_valid())))


def add(connection: Connection, tenant: UUID, key: KeyRecord, digest: bytes) -> None:
    """Keeps a new key; raises ApiKeyNameInUse."""
    try:
        connection.execute(
            insert(ApiKey).values(id=key.id, tenant_id=tenant, name=key.name, role=key.role.value, digest=digest)
        )
    except IntegrityError as error:
        violated = error.orig.diag.constraint_name if isinstance(error.orig, UniqueViolation) else None
        if violated == "uq_api_key_tenant_id_name_active":
            raise ApiKeyNameInUse(key.name) from None
        raise


def active(connection: Connection, tenant: UUID) -> Sequence[KeyRecord]:
    """The tenant's keys that have not been revoked, by name."""
    return [_record(row) for row in connection.execute(_active(tenant).order_by(ApiKey.name))]


def find(connection: Connection, tenant: UUID, name: str) -> KeyRecord | None:
    """The tenant's key of this name, unless it has been revoked."""
    row = connection.execute(_active(tenant).where(ApiKey.name == name)).one_or_none()
    return None if row is None else _record(row)


def revoke(connection: Connection, tenant: UUID, name: str) -> None:
    """Revokes the tenant's key of this name."""
    connection.execute(
        update(ApiKey)
        .where(ApiKey.tenant_id == tenant, ApiKey.name == name, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )


def _valid() -> tuple[ColumnElement[bool], ...]:
    return ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())


def _active(tenant: UUID) -> Select[str, str, str]:
    columns = select(ApiKey.id, ApiKey.name, ApiKey.role)
    return columns.where(ApiKey.tenant_id == tenant, ApiKey.revoked_at.is_(None))


def _record(row: Row[str, str, str]) -> KeyRecord:
    return KeyRecord(id=row.id, name=row.name, role=Role(row.role))
