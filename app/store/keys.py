"""API keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy import ColumnElement, Connection, bindparam, case, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.domain.errors import ApiKeyNameInUse
from app.domain.roles import Principal, Role
from app.store.engine import AnyRow
from app.store.models import ApiKey, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What may be told of a key."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None  # None: never. A rotated one ends with its grace
    last_used_at: datetime | None  # the hour of its last use


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key to be kept."""

    id: str
    name: str
    role: Role
    digest: bytes
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A valid key's digest and whom it stands for."""

    digest: bytes
    principal: Principal
    unrecorded_hour: datetime | None  # the present hour, unless a use in it has been recorded


_HOUR = func.date_trunc("hour", func.now())
_END = func.least(ApiKey.expires_at, ApiKey.revoked_at)  # which passes over nulls
_TOLD = (ApiKey.id, ApiKey.name, ApiKey.role, ApiKey.created_at, _END.label("expires_at"), ApiKey.last_used_at)
_NOT_REVOKED: ColumnElement[bool] = or_(ApiKey.revoked_at.is_(None), ApiKey.revoked_at > func.now())


def find_holder(connection: Connection, key_id: str) -> Holder | None:
    """The holder of the key of this id, unless it is unknown, revoked or expired."""
    unrecorded = case((func.coalesce(ApiKey.last_used_at < _HOUR, True), _HOUR))
    row = connection.execute(
        select(
            ApiKey.digest,
            ApiKey.name,
            ApiKey.role,
            ApiKey.tenant_id,
            Tenant.name.label("tenant"),
            unrecorded.label("unrecorded_hour"),
        )
        .join(Tenant, Tenant.id == ApiKey.tenant_id)
        .where(ApiKey.id == key_id, *_valid())
    ).one_or_none()
    if row is None:
        return None
    principal = Principal(name=row.name, tenant_id=row.tenant_id, tenant=row.tenant, role=Role(row.role), key_id=key_id)
    return Holder(digest=bytes(row.digest), principal=principal, unrecorded_hour=row.unrecorded_hour)


def still_valid(connection: Connection, key_ids: Sequence[str]) -> set[str]:
    """Those of the keys, by their ids, that are neither revoked nor expired."""
    return set(connection.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), *_valid())))


def record_uses(connection: Connection, uses: Mapping[str, datetime]) -> None:
    """Keeps the hour in which each key, by its id, was last used, unless a use in it or later has been recorded."""
    later = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < bindparam("hour"))
    statement = update(ApiKey).where(ApiKey.id == bindparam("key_id"), later).values(last_used_at=bindparam("hour"))
    # In this order in every process, or two would deadlock.
    connection.execute(statement, [{"key_id": key, "hour": uses[key]} for key in sorted(uses)])


def owners(connection: Connection, key_ids: Sequence[str]) -> dict[str, UUID]:
    """The tenants of those of the keys, by their ids, that there are or were."""
    rows = connection.execute(select(ApiKey.id, ApiKey.tenant_id).where(ApiKey.id.in_(key_ids)))
    return {row.id: row.tenant_id for row in rows}


def now(connection: Connection) -> datetime:
    """The time by which keys expire."""
    return connection.scalars(select(func.now())).one()


def add(connection: Connection, tenant: UUID, key: NewKey) -> KeyRecord:
    """Keeps a new key; raises ApiKeyNameInUse."""
    values = {"id": key.id, "name": key.name, "digest": key.digest, "expires_at": key.expires_at}
    statement = insert(ApiKey).values(tenant_id=tenant, role=key.role.value, **values).returning(*_TOLD)
    try:
        return _record(connection.execute(statement).one())
    except IntegrityError as error:
        violated = error.orig.diag.constraint_name if isinstance(error.orig, UniqueViolation) else None
        if violated == "uq_api_key_tenant_id_name_active":
            raise ApiKeyNameInUse(key.name) from None
        raise


def listed(connection: Connection, tenant: UUID) -> Sequence[KeyRecord]:
    """The tenant's keys that have not been revoked, by name; of one name, the one in its grace after the current."""
    statement = select(*_TOLD).where(ApiKey.tenant_id == tenant, _NOT_REVOKED)
    order = (ApiKey.name, ApiKey.revoked_at.is_not(None), ApiKey.created_at)
    return [_record(row) for row in connection.execute(statement.order_by(*order))]


def find(connection: Connection, tenant: UUID, name: str) -> KeyRecord | None:
    """The tenant's key of this name, unless it has been revoked or rotated."""
    of_name = (ApiKey.tenant_id == tenant, ApiKey.name == name)
    row = connection.execute(select(*_TOLD).where(*of_name, ApiKey.revoked_at.is_(None))).one_or_none()
    return None if row is None else _record(row)


def revoke(connection: Connection, tenant: UUID, name: str, *, after: timedelta = timedelta(0)) -> list[str]:
    """Revokes the tenant's keys of this name, also one in its grace, at that time from now on at the latest.

    Answers their ids.
    """
    end: Any = func.least(ApiKey.revoked_at, func.now() + after)
    of_name = (ApiKey.tenant_id == tenant, ApiKey.name == name, _NOT_REVOKED)
    return list(connection.scalars(update(ApiKey).where(*of_name).values(revoked_at=end).returning(ApiKey.id)))


def _valid() -> tuple[ColumnElement[bool], ...]:
    return _NOT_REVOKED, or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())


def _record(row: AnyRow) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
