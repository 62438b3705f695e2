"""The audit over HTTP: every change is there, in the one transaction with it, for the tenant's administrators."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.config import AuthProvider
from app.domain.api_key import ApiKeyText
from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Role
from app.services import keys, report, tenants
from tests.api.client import STATS, Api, refused
from tests.api.conftest import MakeApp, Unchanged, by_hand

AUDIT = "/v0/audit"
KEYS = "/v0/api_keys"


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application that writes denials when it is told to, and not by itself."""
    by_hand(app := make_app(auth_provider=AuthProvider.API_KEY))
    return app


def events(api: Api, query: str = "") -> list[dict[str, Any]]:
    response = api.get(f"{AUDIT}{query}")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.get_json()["events"]
    assert all(each.keys() == {"at", "action", "actor", "key_id", "details"} for each in found)
    return found


def own(api: Api) -> str:
    """The id of the client's own key."""
    return ApiKeyText.parse(api.headers["Authorization"].removeprefix("Bearer ")).id


def test_every_change_is_told_with_who_made_it(api: Api) -> None:
    made = api.request("POST", KEYS, json={"name": "ci", "role": "write"}).get_json()
    rotated = api.request("POST", f"{KEYS}/ci/rotate", json={"grace_seconds": 60}).get_json()
    api.request("DELETE", f"{KEYS}/ci")
    api.position(1, 1, 0)
    api.remove()
    removed, revoked, rotation, created, first = events(api)
    actor = first["details"]["name"]
    for each in (removed, revoked, rotation, created):
        assert (each["actor"], each["key_id"]) == (actor, own(api))
    assert (first["actor"], first["key_id"], first["action"]) == ("command line", None, "key.created")
    key = {"name": "ci", "role": "write"}
    assert (created["action"], created["details"]) == ("key.created", key | {"id": made["id"], "expires_at": None})
    replaced_until = rotation["details"].pop("replaced_until")
    assert replaced_until > rotation["at"]
    replaced = {"id": rotated["id"], "expires_at": None, "replaced": [made["id"]]}
    assert (rotation["action"], rotation["details"]) == ("key.rotated", key | replaced)
    ids = sorted((made["id"], rotated["id"]))
    assert (revoked["action"], revoked["details"]) == ("key.revoked", key | {"ids": ids})
    address = {"pipeline": "demo", "table": "orders", "connector": "billing"}
    assert (removed["action"], removed["details"]) == ("connector.removed", address)


def test_a_tenant_is_told_to_the_operators_and_its_first_key_to_itself(
    app: Flask, make_api: Callable[..., Api]
) -> None:
    operator, name = make_api(Role.ADMIN, DEFAULT_TENANT), uuid.uuid4().hex
    made = operator.request("POST", "/v0/tenants", json={"name": name, "admin_key": "first"}).get_json()
    told = [each for each in events(operator, "?action=tenant.created") if each["details"]["name"] == name]
    assert [(each["key_id"], each["details"]) for each in told] == [(own(operator), {"id": made["id"], "name": name})]
    (first,) = events(Api(app, made["api_key"]))
    assert (first["actor"], first["key_id"]) == (f"default/{told[0]['actor']}", own(operator))
    assert first["details"]["name"] == "first"


def test_a_refused_change_leaves_no_event(api: Api, unchanged: Unchanged) -> None:
    api.request("POST", KEYS, json={"name": "ci"})
    with unchanged():
        refused(api.request("POST", KEYS, json={"name": "ci"}), 409, "ApiKeyNameInUse")
        refused(api.request("DELETE", f"{KEYS}/nobody"), 404, "UnknownApiKey")
        refused(api.request("POST", f"{KEYS}/nobody/rotate", json={}), 404, "UnknownApiKey")
        refused(api.remove(), 404, "UnknownPipelineName")


CHANGES: dict[str, Callable[[Api], Any]] = {
    "created": lambda api: api.request("POST", KEYS, json={"name": "new"}),
    "rotated": lambda api: api.request("POST", f"{KEYS}/ci/rotate", json={}),
    "revoked": lambda api: api.request("DELETE", f"{KEYS}/ci"),
    "removed": lambda api: api.remove(),
}


WRITTEN = """
    SELECT xmin::text FROM api_key WHERE tenant_id = :tenant AND name IN ('ci', 'new')
    UNION SELECT xmin::text FROM connector WHERE tenant_id = :tenant
"""
RECORDED = "SELECT xmin::text FROM audit_event WHERE tenant_id = :tenant ORDER BY at DESC LIMIT 1"


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_and_its_record_are_of_one_transaction(api: Api, engine: sa.Engine, change: str) -> None:
    api.request("POST", KEYS, json={"name": "ci"})
    api.position(1, 1, 0)
    with engine.connect() as connection:
        before = set(connection.scalars(sa.text(WRITTEN), {"tenant": api.tenant_id}))
    assert CHANGES[change](api).status_code in (201, 204)
    with engine.connect() as connection:
        written = set(connection.scalars(sa.text(WRITTEN), {"tenant": api.tenant_id}))
        assert set(connection.scalars(sa.text(RECORDED), {"tenant": api.tenant_id})) == written - before


def test_a_tenant_and_its_record_are_of_one_transaction(make_api: Callable[..., Api], engine: sa.Engine) -> None:
    name = uuid.uuid4().hex
    make_api(Role.ADMIN, DEFAULT_TENANT).request("POST", "/v0/tenants", json={"name": name, "admin_key": "first"})
    rows = """
        SELECT xmin::text FROM tenant WHERE name = :name
        UNION SELECT xmin::text FROM audit_event WHERE details ->> 'name' = :name
        UNION SELECT xmin::text FROM api_key WHERE name = 'first' AND tenant_id = :tenant
        UNION SELECT xmin::text FROM audit_event WHERE tenant_id = :tenant
    """
    with engine.connect() as connection:
        assert len(connection.scalars(sa.text(rows), {"name": name, "tenant": tenant_id(name)}).all()) == 1


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_cannot_be_recorded_is_not_made(
    api: Api, unchanged: Unchanged, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    api.request("POST", KEYS, json={"name": "ci"})
    api.position(1, 1, 0)

    def fail(connection: sa.Connection, *_: object, **__: object) -> None:
        connection.execute(sa.text("SELECT 1 / 0"))

    for service in (keys, report, tenants):
        monkeypatch.setattr(service, "audit", type("Broken", (), {"record": staticmethod(fail)}))
    with unchanged():
        assert CHANGES[change](api).status_code == 500
    monkeypatch.undo()
    assert CHANGES[change](api).status_code in (201, 204)


def test_pages_lead_from_the_newest_to_the_oldest(api: Api) -> None:
    for number in range(6):
        api.request("POST", KEYS, json={"name": f"k{number}"})
        api.request("DELETE", f"{KEYS}/k{number}")
    for action, among in (("", 13), ("action=key.created", 7), ("action=key.created&action=key.revoked", 13)):
        whole = events(api, f"?{action}")
        assert len(whole) == among
        assert [each["at"] for each in whole] == sorted((each["at"] for each in whole), reverse=True)
        for limit in (1, 3, among):
            found: list[Any] = []
            url = f"?limit={limit}&{action}"
            while url:
                page = api.get(f"{AUDIT}{url}").get_json()
                found += page["events"]
                url = page["next"]
            assert found == whole


def test_nobody_reads_it_but_administrators_and_of_their_own_tenant(api: Api, make_api: Callable[..., Api]) -> None:
    api.request("POST", KEYS, json={"name": "secret-plan"})
    for role in (Role.READ, Role.WRITE):
        refused(make_api(role).get(AUDIT), 403, "InsufficientPermissions")
    for other in (uuid.uuid4().hex, DEFAULT_TENANT):
        assert "secret-plan" not in make_api(tenant=other).get(AUDIT).text


def test_a_place_of_another_tenant_leads_to_nothing_of_it(api: Api, make_api: Callable[..., Api]) -> None:
    other = make_api(tenant=uuid.uuid4().hex)
    api.request("POST", KEYS, json={"name": "ci"})
    cursor = api.get(f"{AUDIT}?limit=1").get_json()["next"]
    assert other.get(f"{AUDIT}{cursor}").get_json()["next"] is None
    assert "ci" not in [each["details"]["name"] for each in events(other, cursor)]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=", "action=", "action=deleted", "action=denied&action=x", "actor=ci"),
        *("cursor=", "cursor=x", "cursor=" + "A" * 31, "cursor=" + "A" * 33, "cursor=" + "%2F" * 32),
        *("cursor=" + "_" * 32, "cursor=" + "A" * 32 + "&cursor=" + "A" * 32, "cursor=" + "A" * 31 + "%0A"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(api: Api, query: str) -> None:
    error = refused(api.get(f"{AUDIT}?{query}"), 400, "InvalidParam")["details"]["error"]
    assert error.startswith(f"{query.partition('=')[0]}: ")


# who was denied


def denials(app: Flask, api: Api) -> list[dict[str, Any]]:
    app.extensions["tidemark"].tally.write()
    return events(api, "?action=denied")


def test_who_may_not_is_told_to_the_tenant(app: Flask, api: Api, make_api: Callable[..., Api]) -> None:
    reader = make_api(Role.READ)
    for _ in range(3):
        refused(reader.report({}, 0), 403, "InsufficientPermissions")
    refused(api.get("/v0/tenants"), 403, "OperatorsOnly")
    tenants_, report_ = denials(app, api)
    assert (report_["key_id"], tenants_["key_id"]) == (own(reader), own(api))
    assert report_["actor"]
    assert report_["details"].pop("seconds") >= 0
    assert report_["details"] == {
        "count": 3,
        "error_code": "InsufficientPermissions",
        "method": "PUT",
        "route": "/v0/pipelines/<pipeline>/tables/<path:table>/connectors/<connector>/stats",
        "client": "127.0.0.1",
    }
    assert tenants_["details"]["error_code"] == "OperatorsOnly"


def test_a_role_above_ones_own_is_denied_in_the_audit_too(app: Flask, api: Api, make_api: Callable[..., Api]) -> None:
    response = make_api(Role.WRITE).request("POST", KEYS, json={"name": "boss", "role": "admin"})
    refused(response, 403, "InsufficientPermissions")
    (denied,) = denials(app, api)
    assert denied["details"]["route"] == KEYS


def test_a_wrong_key_is_told_to_the_tenant_that_it_claims_to_be_of(app: Flask, api: Api) -> None:
    wrong = str(ApiKeyText(own(api), "a" * 52))
    for _ in range(2):
        refused(Api(app, wrong).get(f"{STATS}?token={wrong}"), 401, "AuthenticationFailed")
    (denied,) = denials(app, api)
    assert (denied["actor"], denied["key_id"], denied["details"]["count"]) == (None, own(api), 2)
    assert "a" * 52 not in api.get(AUDIT).text


def test_who_shows_nothing_is_told_to_the_operators(app: Flask, api: Api, make_api: Callable[..., Api]) -> None:
    client = app.test_client(use_cookies=False)
    address = f"198.51.100.{uuid.uuid4().int % 256}"
    for credential in ("", "Bearer", "Bearer secret", f"Bearer {ApiKeyText.make(bytes(10), bytes(32))}"):
        headers = {"Authorization": credential}
        refused(client.get(STATS, headers=headers, environ_base={"REMOTE_ADDR": address}), 401, "AuthenticationFailed")
    assert denials(app, api) == []
    found = [each for each in events(make_api(Role.ADMIN, DEFAULT_TENANT)) if each["details"].get("client") == address]
    assert {(each["key_id"], each["details"]["count"]) for each in found} == {(None, 3), ("a" * 16, 1)}


def test_who_asks_for_what_there_is_not_is_not_denied(app: Flask, api: Api) -> None:
    refused(api.stats(), 404, "UnknownPipelineName")
    refused(api.get("/nothing"), 404, "NotFound")
    assert denials(app, api) == []
