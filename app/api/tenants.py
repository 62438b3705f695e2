"""Tenants, for those who run the service: administrators of the tenant `default`."""

import re
from typing import Any
from urllib.parse import urlencode

from flask import request

from app.api import examples, runtime
from app.api.access_schemas import CreatedTenantSchema, NewTenantSchema, TenantsSchema
from app.api.blueprint import Blueprint
from app.api.page_query import BAD_LIMIT, DEFAULT_LIMIT, LIMIT, Read, limit_parameter, one, read
from app.api.runtime import principal
from app.domain.errors import InvalidReport, MalformedBody, OperatorsOnly, TenantNameInUse
from app.domain.names import MAX_NAME
from app.domain.roles import Role
from app.domain.status import format_time
from app.services.tenants import make_tenant
from app.store.engine import run, transact
from app.store.tenants import TenantRecord, read_page

tenants = Blueprint("tenants", __name__, url_prefix="/v0/tenants", description="Tenants")

_TENANT = {
    "id": "a3f1c9d2-5b0e-5f7a-9c3d-7e1f2a3b4c5d",
    "name": "acme",
    "created_at": "2026-01-31T12:00:00.000000Z",
}
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME}}}", re.ASCII)
_PARAMETERS: dict[str, Read] = {"limit": LIMIT, "after": one(_NAME, str, "must be the name of a tenant")}
_DOCUMENTED = [
    limit_parameter("tenants"),
    examples.parameter(
        "after",
        "query",
        "The name after which the page begins.",
        "acme",
        {"type": "string", "pattern": f"^{_NAME.pattern}$"},
    ),
]


@tenants.before_request
def _operators_only() -> None:
    if not principal().is_operator:
        raise OperatorsOnly


@tenants.route("")
@tenants.refuses(Role.ADMIN, BAD_LIMIT, OperatorsOnly())
@tenants.response(200, TenantsSchema, example={"tenants": [_TENANT], "next": "?limit=1&after=acme"})
@tenants.doc(parameters=_DOCUMENTED)
def list_tenants() -> Any:
    """List the tenants

    Required role: `admin` or higher.

    Of the tenant `default`, whose administrators run the service. Nobody else may know what tenants there are.
    """
    given = read(request.args, _PARAMETERS)
    after, limit = given.get("after", ""), given.get("limit", DEFAULT_LIMIT)
    page = run(runtime.current().engine, lambda connection: read_page(connection, after, limit + 1))
    following = {"limit": limit, "after": page[limit - 1].name} if len(page) > limit else None
    return {"tenants": [_told(each) for each in page[:limit]], "next": following and f"?{urlencode(following)}"}


@tenants.route("", methods=["POST"])
@tenants.refuses(
    Role.ADMIN, MalformedBody(), OperatorsOnly(), TenantNameInUse("acme"), InvalidReport(details={"name": ["…"]})
)
@tenants.response(201, CreatedTenantSchema, example=_TENANT | {"api_key": "tmk_mfrggzdfmztwq2lk_…"})
@tenants.arguments(NewTenantSchema, example={"name": "acme", "admin_key": "first"})
def create_tenant(new: dict[str, Any]) -> Any:
    """Create a tenant

    Required role: `admin` or higher.

    Of the tenant `default`. With `admin_key` its first API key is made, of the role admin, and told once: of a tenant
    that exists already, nobody outside gets a key.
    """
    by = principal()
    tenant, key = transact(runtime.current().engine, lambda connection: make_tenant(connection, by, **new))
    return _told(tenant) | {"api_key": key and str(key)}


def _told(tenant: TenantRecord) -> dict[str, Any]:
    return {"id": tenant.id, "name": tenant.name, "created_at": format_time(tenant.created_at)}
