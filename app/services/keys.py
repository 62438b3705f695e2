"""API keys: created, rotated, revoked, each of it recorded in the audit by the same transaction; and listed."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from app.domain.api_key import ID_BYTES, SECRET_BYTES, ApiKeyText
from app.domain.audit import Action
from app.domain.errors import ApiKeyNameInUse, InsufficientPermissions, InvalidParam, InvalidReport, UnknownApiKey
from app.domain.names import key_name
from app.domain.roles import Principal, Role
from app.domain.status import format_time
from app.store import audit, keys
from app.store.engine import Repeat
from app.store.keys import KeyRecord, NewKey

MOST_GRACE = timedelta(days=7)
"""How long a rotated key may still be used, at most."""


def create_key(
    connection: Connection, by: Principal, name: str, role: Role, *, expires_at: datetime | None = None
) -> tuple[KeyRecord, ApiKeyText]:
    """A new key of the creator's tenant; its text is told here and never again.

    Raises InvalidParam for a name that none can have, InsufficientPermissions for a role above the creator's,
    InvalidReport for a time that has passed, and ApiKeyNameInUse.
    """
    key_name(name)
    _not_above(role, by.role)
    if expires_at is not None and expires_at <= keys.now(connection):
        raise InvalidReport("Invalid fields: expires_at", details={"expires_at": ["must be in the future"]})
    record, key = _add(connection, by.tenant_id, name, role, expires_at)
    audit.record(connection, by.tenant_id, Action.KEY_CREATED, _told(record), by=by)
    return record, key


def create_first_key(connection: Connection, by: Principal, tenant: UUID, name: str) -> ApiKeyText:
    """The key, of role admin, of a tenant that the caller makes in this very transaction; raises InvalidParam."""
    record, key = _add(connection, tenant, key_name(name), Role.ADMIN, None)
    audit.record(connection, tenant, Action.KEY_CREATED, _told(record), by=by)
    return key


def rotate_key(
    connection: Connection, by: Principal, name: str, *, grace: timedelta = timedelta(0)
) -> tuple[KeyRecord, ApiKeyText]:
    """A new key in place of the one of this name: its role, and, from now on, as long a life.

    The old one, and any that is in its grace since an earlier rotation, works for as long as the grace lasts.
    Raises UnknownApiKey, InsufficientPermissions for a key above the caller's role, and Repeat where somebody else
    has rotated it at the same time.
    """
    old = get_key(connection, by.tenant_id, name)
    _not_above(old.role, by.role)
    now = keys.now(connection)
    ended = keys.revoke(connection, by.tenant_id, name, after=grace)
    try:
        record, key = _add(connection, by.tenant_id, name, old.role, _end_of_as_long_a_life(old, now))
    except ApiKeyNameInUse:
        raise Repeat from None
    details = _told(record) | {"replaced": sorted(ended), "replaced_until": format_time(now + grace)}
    audit.record(connection, by.tenant_id, Action.KEY_ROTATED, details, by=by)
    return record, key


def list_keys(connection: Connection, tenant: UUID) -> Sequence[KeyRecord]:
    """The tenant's keys that have not been revoked, by name, expired ones and those in their grace among them."""
    return keys.listed(connection, tenant)


def get_key(connection: Connection, tenant: UUID, name: str) -> KeyRecord:
    """One key; raises UnknownApiKey."""
    try:
        found = keys.find(connection, tenant, key_name(name))
    except InvalidParam:
        found = None
    if found is None:
        raise UnknownApiKey(name)
    return found


def revoke_key(connection: Connection, by: Principal, name: str) -> None:
    """Ends a key for good, and any that it has replaced, grace or not.

    Raises UnknownApiKey, and InsufficientPermissions for a key above the caller's role.
    """
    found = get_key(connection, by.tenant_id, name)
    _not_above(found.role, by.role)
    ended = keys.revoke(connection, by.tenant_id, name)
    if not ended:  # somebody was faster
        raise UnknownApiKey(name)
    details = {"ids": sorted(ended), "name": name, "role": found.role.value}
    audit.record(connection, by.tenant_id, Action.KEY_REVOKED, details, by=by)


def _add(
    connection: Connection, tenant: UUID, name: str, role: Role, expires_at: datetime | None
) -> tuple[KeyRecord, ApiKeyText]:
    key = ApiKeyText.make(secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES))
    new = NewKey(id=key.id, name=name, role=role, digest=key.digest, expires_at=expires_at)
    return keys.add(connection, tenant, new), key


def _end_of_as_long_a_life(old: KeyRecord, now: datetime) -> datetime | None:
    try:
        return old.expires_at and now + (old.expires_at - old.created_at)
    except OverflowError:  # beyond the last year that there is
        return old.expires_at


def _told(record: KeyRecord) -> dict[str, str | None]:
    expires_at = format_time(record.expires_at) if record.expires_at else None
    return {"id": record.id, "name": record.name, "role": record.role.value, "expires_at": expires_at}


def _not_above(role: Role, own: Role) -> None:
    if not own.allows(role):
        raise InsufficientPermissions(required=role.value, actual=own.value)
