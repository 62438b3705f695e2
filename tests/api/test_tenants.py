"""Tenants over HTTP: made and listed by the operators, and by nobody else."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Role
from tests.api.client import Api, refused
from tests.api.conftest import MakeApp

TENANTS = "/v0/tenants"
NOT_NAMES: list[Any] = [None, "", 7, True, [], {}, "a b", "ü", "a/b", "a\n", "x" * 256]


@pytest.fixture
def operator(make_api: Callable[..., Api]) -> Api:
    return make_api(Role.ADMIN, DEFAULT_TENANT)


def make(operator: Api, **body: str) -> dict[str, Any]:
    response = operator.request("POST", TENANTS, json=body)
    assert (response.status_code, response.headers["Cache-Control"]) == (201, "no-store"), response.text
    made: dict[str, Any] = response.get_json()
    assert made.keys() == {"id", "name", "created_at", "api_key"}
    return made


def listed(operator: Api, limit: int = 1000) -> list[dict[str, Any]]:
    """All tenants, of as many pages as it takes."""
    found, url = [], f"?limit={limit}"
    while url:
        page = operator.get(f"{TENANTS}{url}").get_json()
        assert len(page["tenants"]) <= limit
        found += page["tenants"]
        url = page["next"]
    return found


def test_an_operator_makes_a_tenant_and_its_first_key_opens_it(app: Flask, operator: Api) -> None:
    name = f"t-{uuid.uuid4().hex}"
    made = make(operator, name=name, admin_key="first")
    assert (made["id"], made["name"]) == (str(tenant_id(name)), name)
    first = Api(app, made["api_key"])
    config = first.get("/v0/config").get_json()
    assert (config["tenant"], config["role"]) == (name, "admin")
    assert [(each["name"], each["role"]) for each in first.get("/v0/api_keys").get_json()] == [("first", "admin")]
    (told,) = [each for each in listed(operator) if each["name"] == name]
    assert told == {member: made[member] for member in ("id", "name", "created_at")}


def test_a_tenant_may_be_made_without_a_key(operator: Api) -> None:
    for body in ({}, {"admin_key": None}):
        response = operator.request("POST", TENANTS, json={"name": uuid.uuid4().hex, **body})
        assert (response.status_code, response.get_json()["api_key"]) == (201, None)


def test_nobody_gets_a_key_of_a_tenant_that_exists(operator: Api, api: Api, tenant: str) -> None:
    before = api.get("/v0/api_keys").get_json()
    response = operator.request("POST", TENANTS, json={"name": tenant, "admin_key": "mine"})
    assert refused(response, 409, "TenantNameInUse")["details"] == {"name": tenant}
    assert [each["id"] for each in api.get("/v0/api_keys").get_json()] == [each["id"] for each in before]


def test_tenants_are_listed_in_one_order_however_long_the_pages(operator: Api) -> None:
    prefix = uuid.uuid4().hex
    names = [f"{prefix}{end}" for end in ("-b", ".a", "A", "_", "a", "z0")]
    for name in reversed(names):
        make(operator, name=name)
    for limit in (1, 2, 1000):
        assert [each["name"] for each in listed(operator, limit) if each["name"].startswith(prefix)] == names


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_nobody_else_may(make_api: Callable[..., Api], role: Role, method: str) -> None:
    name = uuid.uuid4().hex
    response = make_api(role).request(method, TENANTS, json={"name": name, "admin_key": "mine"})
    assert response.status_code == 403
    if method in ("GET", "POST"):
        refused(response, 403, "OperatorsOnly" if role is Role.ADMIN else "InsufficientPermissions")
    assert make_api(Role.ADMIN, DEFAULT_TENANT).get(f"{TENANTS}?after={name[:-1]}").text.count(name) == 0


@pytest.mark.parametrize("role", [Role.READ, Role.WRITE])
def test_nor_who_is_less_in_the_operators_tenant(make_api: Callable[..., Api], role: Role) -> None:
    api = make_api(role, DEFAULT_TENANT)
    for method in ("GET", "POST"):
        refused(api.request(method, TENANTS, json={"name": "x"}), 403, "InsufficientPermissions")


def test_where_nobody_is_asked_for_a_credential_everybody_is_an_operator(make_app: MakeApp) -> None:
    assert make(Api(make_app()), name=uuid.uuid4().hex)["api_key"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        *(({"name": name}, "name") for name in NOT_NAMES),
        *(({"name": "x", "admin_key": name}, "admin_key") for name in NOT_NAMES if name is not None),
        ({"name": "x", "role": "admin"}, "role"),
    ],
)
def test_a_bad_field_is_refused_by_name(operator: Api, body: object, field: str) -> None:
    details = refused(operator.request("POST", TENANTS, json=body), 422, "InvalidReport")["details"]
    assert list(details) == [field]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "after=", "after=a%20b", "after=%00", "x=1"]
)
def test_a_bad_parameter_is_refused_by_name(operator: Api, query: str) -> None:
    error = refused(operator.get(f"{TENANTS}?{query}"), 400, "InvalidParam")["details"]["error"]
    assert error.startswith(f"{query.partition('=')[0]}: ")
