"""API keys over HTTP: told once, listed without their secret, never above their maker."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.config import AuthProvider
from app.domain.api_key import ApiKeyText
from app.domain.roles import Role
from app.domain.status import parse_time
from app.store.models import ApiKey
from tests.api.client import Api, refused
from tests.api.conftest import MakeApp, Unchanged, by_hand

KEYS = "/v0/api_keys"
A_KEY = f"tmk_{'a' * 16}_{'b' * 59}"
NOT_NAMES: list[Any] = [A_KEY, f"x{A_KEY}y", None, "", 7, True, [], {}, "a b", "ü", "a/b", "a\n", "x" * 256]
NOT_TIMES: list[Any] = [0, True, "", "tomorrow", "2999-01-01", "2999-01-01T00:00:00", "2999-02-30T00:00:00Z", [], {}]
NOT_TIMES += ["2001-01-01T00:00:00Z"]  # which has passed
NOT_GRACES: list[Any] = [None, -1, 604_801, 1.0, "1", True, [], {}]
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
    members = {"id", "name", "role", "created_at", "expires_at", "last_used_at"}
    assert all(each.keys() == members for each in listed)
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
        *(({"name": "ci", "expires_at": at}, "expires_at") for at in NOT_TIMES),
    ],
)
def test_a_bad_field_is_refused_by_name(api: Api, unchanged: Unchanged, body: object, field: str) -> None:
    with unchanged():
        details = refused(api.request("POST", KEYS, json=body), 422, "InvalidReport")["details"]
    assert list(details) == [field]


# their ends


def test_a_key_may_be_given_an_end(api: Api) -> None:
    assert api.request("POST", KEYS, json={"name": "a", "expires_at": "2999-01-01T01:00:00+01:00"}).status_code == 201
    assert api.request("POST", KEYS, json={"name": "b", "expires_at": None}).status_code == 201
    (a,), (b,) = (api.get(f"{KEYS}/{name}").get_json() for name in "ab")
    assert (a["expires_at"], b["expires_at"]) == ("2999-01-01T00:00:00.000000Z", None)


def test_an_expired_key_is_still_listed_and_rotation_gives_it_as_long_a_life_again(api: Api, engine: sa.Engine) -> None:
    create(api, "old", expires_at="2999-01-01T00:00:00Z")
    with engine.begin() as connection:  # ten days ago, for nine days
        span = {"created_at": sa.func.now() - timedelta(days=10), "expires_at": sa.func.now() - timedelta(days=1)}
        of_name = (ApiKey.tenant_id == api.tenant_id, ApiKey.name == "old")
        connection.execute(sa.update(ApiKey).where(*of_name).values(**span))
    (old,) = api.get(f"{KEYS}/old").get_json()
    assert parse_time(old["expires_at"]) < datetime.now(UTC)
    rotate(api, "old")
    (new,) = api.get(f"{KEYS}/old").get_json()
    assert new["id"] != old["id"]
    assert abs(parse_time(new["expires_at"]) - parse_time(new["created_at"]) - timedelta(days=9)) < timedelta(minutes=1)


def test_a_life_to_the_end_of_all_years_does_not_get_longer(api: Api) -> None:
    create(api, expires_at="9999-12-31T23:59:59.999999Z")
    rotate(api)
    assert api.get(f"{KEYS}/ci").get_json()[0]["expires_at"] == "9999-12-31T23:59:59.999999Z"


def test_the_hour_of_the_last_use_is_told(make_app: MakeApp, api: Api) -> None:
    app = make_app(auth_provider=AuthProvider.API_KEY)
    tally, made = by_hand(app), Api(app, create(api))
    tally.write()
    assert api.get(f"{KEYS}/ci").get_json()[0]["last_used_at"] is None
    assert made.get("/v0/config").status_code == 200
    tally.write()
    assert api.get(f"{KEYS}/ci").get_json()[0]["last_used_at"].endswith(":00:00.000000Z")


# rotation


def rotate(api: Api, name: str = "ci", **body: Any) -> str:
    response = api.request("POST", f"{KEYS}/{name}/rotate", json=body)
    assert (response.status_code, response.headers["Cache-Control"]) == (201, "no-store"), response.text
    made = response.get_json()
    assert made.keys() == {"id", "name", "api_key"}
    assert (made["id"], made["name"]) == (ApiKeyText.parse(made["api_key"]).id, name)
    return str(made["api_key"])


def test_a_rotated_key_stops_at_once_and_the_new_one_has_its_role(api: Api) -> None:
    old = Api(api.app, create(api, role="write"))
    assert old.get("/v0/config").status_code == 200
    new = Api(api.app, rotate(api))
    refused(old.get("/v0/config"), 401, "AuthenticationFailed")
    assert new.get("/v0/config").get_json()["role"] == "write"
    assert [each["name"] for each in api.get(KEYS).get_json()].count("ci") == 1


def test_a_key_in_its_grace_works_is_listed_and_ends(api: Api, engine: sa.Engine) -> None:
    old = Api(api.app, create(api))
    new = Api(api.app, rotate(api, grace_seconds=3600))
    assert [each.get("/v0/config").status_code for each in (old, new)] == [200, 200]
    current, replaced = [each for each in api.get(KEYS).get_json() if each["name"] == "ci"]
    assert [each["id"] for each in api.get(f"{KEYS}/ci").get_json()] == [current["id"]]
    left = parse_time(replaced["expires_at"]) - parse_time(current["created_at"])
    assert (current["expires_at"], abs(left - timedelta(hours=1)) < timedelta(minutes=1)) == (None, True)
    with engine.begin() as connection:
        connection.execute(sa.update(ApiKey).where(ApiKey.id == replaced["id"]).values(revoked_at=sa.func.now()))
    api.app.extensions["tidemark"].principals.forget()  # as it does by itself, a moment later
    refused(old.get("/v0/config"), 401, "AuthenticationFailed")
    assert new.get("/v0/config").status_code == 200


@pytest.mark.parametrize("how", ["revoke", "rotate"])
def test_revoking_or_rotating_again_ends_the_grace_of_before(api: Api, how: str) -> None:
    oldest = Api(api.app, create(api))
    newer = Api(api.app, rotate(api, grace_seconds=3600))
    if how == "revoke":
        assert api.request("DELETE", f"{KEYS}/ci").status_code == 204
    else:
        rotate(api)
    for each in (oldest, newer):
        refused(each.get("/v0/config"), 401, "AuthenticationFailed")


def test_a_second_grace_does_not_make_the_first_longer(api: Api) -> None:
    create(api)
    rotate(api, grace_seconds=60)
    rotate(api, grace_seconds=3600)
    _, second, first = [each for each in api.get(KEYS).get_json() if each["name"] == "ci"]
    first, second = sorted((first, second), key=lambda each: each["created_at"])
    assert parse_time(second["expires_at"]) - parse_time(first["expires_at"]) > timedelta(minutes=50)


def test_a_key_may_rotate_itself(api: Api) -> None:
    itself = Api(api.app, create(api, role="write"))
    new = Api(api.app, rotate(itself))
    refused(itself.get(KEYS), 401, "AuthenticationFailed")
    assert new.get(KEYS).status_code == 200


def test_what_cannot_be_rotated(api: Api, make_api: Callable[..., Api], unchanged: Unchanged) -> None:
    create(api, "boss", role="admin")
    writer, reader, other = make_api(Role.WRITE), make_api(Role.READ), make_api(tenant=uuid.uuid4().hex)
    with unchanged():
        refused(writer.request("POST", f"{KEYS}/boss/rotate", json={}), 403, "InsufficientPermissions")
        refused(reader.request("POST", f"{KEYS}/boss/rotate", json={}), 403, "InsufficientPermissions")
        refused(other.request("POST", f"{KEYS}/boss/rotate", json={}), 404, "UnknownApiKey")
        refused(api.request("POST", f"{KEYS}/nobody/rotate", json={}), 404, "UnknownApiKey")
        for grace in NOT_GRACES:
            body = {"grace_seconds": grace}
            details = refused(api.request("POST", f"{KEYS}/boss/rotate", json=body), 422, "InvalidReport")["details"]
            assert list(details) == ["grace_seconds"]


def test_two_who_rotate_a_key_at_once_both_get_one_and_the_later_works(app: Flask, api: Api) -> None:
    create(api)
    with ThreadPoolExecutor(4) as pool:
        made = [
            Api(app, key) for key in pool.map(lambda _: rotate(Api(app, api.headers["Authorization"][7:])), range(8))
        ]
    app.extensions["tidemark"].principals.forget()
    assert sorted(each.get("/v0/config").status_code for each in made) == [200] + [401] * 7
