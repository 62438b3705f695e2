"""API keys."""

from datetime import timedelta
from typing import Any

from flask import Response

from app.api import runtime
from app.api.access_schemas import ApiKeySchema, CreatedApiKeySchema, NewApiKeySchema, RotationSchema
from app.api.blueprint import Blueprint
from app.api.runtime import principal
from app.domain.api_key import ApiKeyText
from app.domain.errors import ApiKeyNameInUse, InvalidReport, MalformedBody, UnknownApiKey
from app.domain.roles import Role
from app.domain.status import format_time
from app.services.keys import create_key, get_key, list_keys, revoke_key, rotate_key
from app.store.engine import run, transact
from app.store.keys import KeyRecord

api_keys = Blueprint("api_keys", __name__, url_prefix="/v0/api_keys", description="API keys")

_KEY = {
    "id": "mfrggzdfmztwq2lk",
    "name": "dashboard",
    "role": "read",
    "created_at": "2026-01-31T12:00:00.000000Z",
    "expires_at": "2026-05-01T12:00:00.000000Z",
    "last_used_at": "2026-01-31T14:00:00.000000Z",
}
_CREATED = {"id": _KEY["id"], "name": "dashboard", "api_key": "tmk_mfrggzdfmztwq2lk_…"}


@api_keys.route("")
@api_keys.refuses(Role.WRITE)
@api_keys.response(200, ApiKeySchema(many=True), example=[_KEY])
def list_api_keys() -> Any:
    """List the API keys

    Required role: `write` or higher.

    One that was rotated is listed under the same name for as long as it still works.
    """
    owner = principal().tenant_id
    return [_told(key) for key in run(runtime.current().engine, lambda connection: list_keys(connection, owner))]


@api_keys.route("", methods=["POST"])
@api_keys.refuses(Role.WRITE, MalformedBody(), ApiKeyNameInUse("dashboard"), InvalidReport(details={"name": ["…"]}))
@api_keys.response(201, CreatedApiKeySchema, example=_CREATED)
@api_keys.arguments(NewApiKeySchema, example={"name": "dashboard", "role": "read", "expires_at": _KEY["expires_at"]})
def create_api_key(new: dict[str, Any]) -> Any:
    """Create an API key

    Required role: `write` or higher.

    The key is told once. Its role may not be above the caller's.
    """
    by = principal()
    return _created(*transact(runtime.current().engine, lambda connection: create_key(connection, by, **new)))


@api_keys.route("/<name>")
@api_keys.refuses(Role.WRITE, UnknownApiKey("dashboard"))
@api_keys.response(200, ApiKeySchema(many=True), example=[_KEY])
def read_api_key(name: str) -> Any:
    """Read an API key

    Required role: `write` or higher.

    Answers an array of one, as Feldera does.
    """
    owner = principal().tenant_id
    return [_told(run(runtime.current().engine, lambda connection: get_key(connection, owner, name)))]


@api_keys.route("/<name>/rotate", methods=["POST"])
@api_keys.refuses(
    Role.WRITE, MalformedBody(), UnknownApiKey("dashboard"), InvalidReport(details={"grace_seconds": ["…"]})
)
@api_keys.response(201, CreatedApiKeySchema, example=_CREATED)
@api_keys.arguments(RotationSchema, example={"grace_seconds": 3600})
def rotate_api_key(rotation: dict[str, Any], name: str) -> Any:
    """Replace an API key by a new one

    Required role: `write` or higher.

    The new key has the name and the role of the old one and, if that expires, as long a life; it is told once. The old
    one stops at once, or after `grace_seconds`. A key whose role is above the caller's cannot be rotated.
    """
    by, here, grace = principal(), runtime.current(), timedelta(seconds=rotation["grace_seconds"])
    record, key = transact(here.engine, lambda connection: rotate_key(connection, by, name, grace=grace))
    here.principals.forget()
    return _created(record, key)


@api_keys.route("/<name>", methods=["DELETE"])
@api_keys.refuses(Role.WRITE, UnknownApiKey("dashboard"))
@api_keys.response(204, description="Revoked.")
def delete_api_key(name: str) -> Response:
    """Revoke an API key

    Required role: `write` or higher.

    Also one that it has replaced stops, whatever its grace. A key whose role is above the caller's cannot be revoked.
    """
    by, here = principal(), runtime.current()
    transact(here.engine, lambda connection: revoke_key(connection, by, name))
    here.principals.forget()
    return Response(status=204)


def _told(key: KeyRecord) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "created_at": format_time(key.created_at),
        "expires_at": key.expires_at and format_time(key.expires_at),
        "last_used_at": key.last_used_at and format_time(key.last_used_at),
    }


def _created(record: KeyRecord, key: ApiKeyText) -> dict[str, str]:
    return {"id": record.id, "name": record.name, "api_key": str(key)}
