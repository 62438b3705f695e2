"""API keys over HTTP: told once, listed without their secret, never above their maker."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.api_key import ApiKeyText
from app.domain.roles import Role
from tests.api.client import Api, refused
from tests.api.conftest import Unchanged

KEYS = "/v0/api_keys"
NOT_NAMES: list[Any] = [None, "", 7, True, [], {}, "a b", "ü", "a/b", "a\n", "x" * 256]
NOT_ROLES: list[Any] = [None, "", "owner", "READ", 1, True, [], {}]


def create(api: Api, name: str = "ci", **role: str) -> str:
    response = api.request("POST", KEYS, json={"name": name, **role})
    assert response.status_code == 201, response.text
    return str(response.get_json()["api_key"])


def test_a_new_key_is_told_whole_and_once(api: Api) -> None:
    response = api.request("POST", KEYS, json={"name": "ci", "role": "write"})
    assert (response.status_code, response.content_type) == (201, "application/json")
    made = response.get_json()
    assert made.keys() == {"id", "name", "api_key"}
    key = ApiKeyText.parse(made["api_key"])
    assert (made["id"], made["name"]) == (key.id, "ci")
    assert response.headers["Cache-Control"] == "no-store"
    for path in (KEYS, f"{KEYS}/ci"):
        assert key.secret not in api.get(path).text


def test_keys_are_listed_by_name_and_read_as_an_array_of_one(api: Api) -> None:
    create(api, "b", role="admin")
    create(api, "a", role="write")
    create(api, "c")
    listed = api.get(KEYS).get_json()
    own = [each for each in listed if each["name"] in "abc"]
    assert [(each["name"], each["role"]) for each in own] == [("a", "write"), ("b", "admin"), ("c", "read")]
    assert all(each.keys() == {"id", "name", "role"} for each in listed)
    assert api.get(f"{KEYS}/a").get_json() == [own[0]]


@pytest.mark.parametrize("role", list(Role))
def test_a_new_key_works_at_once_in_its_role_and_tenant(api: Api, tenant: str, role: Role) -> None:
    made = Api(api.app, create(api, role=role.value))
    config = made.get("/v0/config").get_json()
    assert (config["tenant"], config["role"]) == (tenant, role.value)


@pytest.mark.parametrize("own", [Role.WRITE, Role.ADMIN])
@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_never_above_its_creators(
    make_api: Callable[..., Api], unchanged: Unchanged, own: Role, role: Role
) -> None:
    creator = make_api(own)
    if own.allows(role):
        assert create(creator, role=role.value)
        return
    with unchanged():
        response = creator.request("POST", KEYS, json={"name": "ci", "role": role.value})
        details = refused(response, 403, "InsufficientPermissions")["details"]
    assert details == {"required": role.value, "actual": own.value}


def test_a_key_above_ones_own_role_is_not_revoked(api: Api, make_api: Callable[..., Api], unchanged: Unchanged) -> None:
    create(api, "boss", role="admin")
    writer = make_api(Role.WRITE)
    with unchanged():
        refused(writer.request("DELETE", f"{KEYS}/boss"), 403, "InsufficientPermissions")


def test_a_revoked_key_is_over_and_its_name_free_again(api: Api) -> None:
    old = Api(api.app, create(api))
    assert old.get("/v0/config").status_code == 200
    assert api.request("DELETE", f"{KEYS}/ci").status_code == 204
    refused(old.get("/v0/config"), 401, "AuthenticationFailed")
    refused(api.get(f"{KEYS}/ci"), 404, "UnknownApiKey")
    refused(api.request("DELETE", f"{KEYS}/ci"), 404, "UnknownApiKey")
    assert "ci" not in [each["name"] for each in api.get(KEYS).get_json()]
    new = Api(api.app, create(api))
    assert new.get("/v0/config").status_code == 200
    refused(old.get("/v0/config"), 401, "AuthenticationFailed")


def test_keys_are_their_tenants_alone(api: Api, make_api: Callable[..., Api]) -> None:
    other = make_api(tenant=uuid.uuid4().hex)
    create(api)
    refused(other.get(f"{KEYS}/ci"), 404, "UnknownApiKey")
    refused(other.request("DELETE", f"{KEYS}/ci"), 404, "UnknownApiKey")
    assert "ci" not in [each["name"] for each in other.get(KEYS).get_json()]
    assert create(other)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        *(({"name": name}, "name") for name in NOT_NAMES),
        *(({"name": "ci", "role": role}, "role") for role in NOT_ROLES),
        ({"name": "ci", "tenant": "default"}, "tenant"),
    ],
)
def test_a_bad_field_is_refused_by_name(api: Api, unchanged: Unchanged, body: object, field: str) -> None:
    with unchanged():
        details = refused(api.request("POST", KEYS, json=body), 422, "InvalidReport")["details"]
    assert list(details) == [field]
