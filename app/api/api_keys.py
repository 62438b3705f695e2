"""API keys."""

from typing import Any

from flask import Response

from app.api import runtime
from app.api.blueprint import Blueprint
from app.api.runtime import principal
from app.api.schemas import ApiKeySchema, CreatedApiKeySchema, NewApiKeySchema
from app.domain.errors import ApiKeyNameInUse, InvalidReport, MalformedBody, UnknownApiKey
from app.domain.roles import Role
from app.services.authenticate import create_key, get_key, list_keys, revoke_key
from app.store.engine import run, transact
from app.store.keys import KeyRecord

api_keys = Blueprint("api_keys", __name__, url_prefix="/v0/api_keys", description="API keys")

_KEY = {"id": "mfrggzdfmztwq2lk", "name": "dashboard", "role": "read"}


@api_keys.route("")
@api_keys.refuses(Role.WRITE)
@api_keys.response(200, ApiKeySchema(many=True), example=[_KEY])
def list_api_keys() -> Any:
    """List the API keys

    Required role: `write` or higher.
    """
    owner = principal().tenant_id
    return run(runtime.current().engine, lambda connection: list_keys(connection, owner))


@api_keys.route("", methods=["POST"])
@api_keys.refuses(Role.WRITE, MalformedBody(), ApiKeyNameInUse("dashboard"), InvalidReport(details={"name": ["…"]}))
@api_keys.response(
    201, CreatedApiKeySchema, example={"id": _KEY["id"], "name": "dashboard", "api_key": "tmk_mfrggzdfmztwq2lk_…"}
)
@api_keys.arguments(NewApiKeySchema, example={"name": "dashboard", "role": "read"})
def create_api_key(new: dict[str, Any]) -> Any:
    """Create an API key

    Required role: `write` or higher.

    The key is told once. Its role may not be above the caller's.
    """
    by = principal()
    record, key = transact(
        runtime.current().engine,
        lambda connection: create_key(connection, by.tenant_id, new["name"], new["role"], by=by.role),
    )
    return {"id": record.id, "name": record.name, "api_key": str(key)}


@api_keys.route("/<name>")
@api_keys.refuses(Role.WRITE, UnknownApiKey("dashboard"))
@api_keys.response(200, ApiKeySchema(many=True), example=[_KEY])
def read_api_key(name: str) -> list[KeyRecord]:
    """Read an API key

    Required role: `write` or higher.

    Answers an array of one, as Feldera does.
    """
    owner = principal().tenant_id
    return [run(runtime.current().engine, lambda connection: get_key(connection, owner, name))]


@api_keys.route("/<name>", methods=["DELETE"])
@api_keys.refuses(Role.WRITE, UnknownApiKey("dashboard"))
@api_keys.response(204, description="Revoked.")
def delete_api_key(name: str) -> Response:
    """Revoke an API key

    Required role: `write` or higher.

    A key whose role is above the caller's cannot be revoked.
    """
    by, here = principal(), runtime.current()
    transact(here.engine, lambda connection: revoke_key(connection, by.tenant_id, name, by=by.role))
    here.principals.forget()
    return Response(status=204)
