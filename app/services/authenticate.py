"""API keys: created, listed, revoked, and told from anything else."""

import hmac
import secrets
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from app.domain.api_key import ID_BYTES, SECRET_BYTES, ApiKeyText
from app.domain.errors import AuthenticationFailed, InsufficientPermissions, UnknownApiKey
from app.domain.names import DEFAULT_TENANT, key_name, tenant_id
from app.domain.roles import Principal, Role
from app.store import keys
from app.store.keys import KeyRecord

ANYONE = Principal(name="anyone", tenant_id=tenant_id(DEFAULT_TENANT), tenant=DEFAULT_TENANT, role=Role.ADMIN)
"""Who makes a request where nobody is asked for a credential (AUTH_PROVIDER=none)."""

_NO_DIGEST = bytes(32)


def authenticate(connection: Connection, key: ApiKeyText) -> Principal:
    """Whose key it is; raises AuthenticationFailed for an unknown, wrong, expired or revoked one, all alike."""
    holder = keys.find_holder(connection, key.id)
    # Compared in either case, so that the time taken does not tell an unknown id from a wrong secret.
    matches = hmac.compare_digest(holder.digest if holder else _NO_DIGEST, key.digest)
    if holder is None or not matches:
        raise AuthenticationFailed
    return holder.principal


def create_key(
    connection: Connection, tenant: UUID, name: str, role: Role, *, by: Role
) -> tuple[KeyRecord, ApiKeyText]:
    """A new key; its text is told here and never again.

    Raises InvalidParam for a name that none can have, InsufficientPermissions for a role above the creator's and
    ApiKeyNameInUse.
    """
    key_name(name)
    _not_above(role, by)
    key = ApiKeyText.make(secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES))
    record = KeyRecord(id=key.id, name=name, role=role)
    keys.add(connection, tenant, record, key.digest)
    return record, key


def list_keys(connection: Connection, tenant: UUID) -> Sequence[KeyRecord]:
    """The tenant's keys that have not been revoked, by name."""
    return keys.active(connection, tenant)


def get_key(connection: Connection, tenant: UUID, name: str) -> KeyRecord:
    """One key; raises UnknownApiKey."""
    found = None if "\0" in name else keys.find(connection, tenant, name)  # no text in Postgres holds a NUL
    if found is None:
        raise UnknownApiKey(name)
    return found


def revoke_key(connection: Connection, tenant: UUID, name: str, *, by: Role) -> None:
    """Ends a key for good. Raises UnknownApiKey, and InsufficientPermissions for a key above the caller's role."""
    _not_above(get_key(connection, tenant, name).role, by)
    keys.revoke(connection, tenant, name)


def _not_above(role: Role, own: Role) -> None:
    if not own.allows(role):
        raise InsufficientPermissions(required=role.value, actual=own.value)
