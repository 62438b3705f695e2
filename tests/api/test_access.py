"""Who may enter: no route forgets to ask, and no credential gets further than its role."""

import base64
import hmac
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.routing import Rule

from app.api.auth import ROLES, register
from app.config import AuthProvider, Config
from app.domain.api_key import ApiKeyText
from app.domain.names import DEFAULT_TENANT
from app.domain.roles import Role, command_line
from app.factory import create_app
from app.services import authenticate
from app.services.keys import revoke_key
from app.store.models import ApiKey
from tests.api.client import ORDERS, STATS, Api, refused
from tests.api.conftest import MakeApp, MakeKey, engine_of

ROUTES = [
    (rule, method)
    for rule in create_app(
        Config(database_url="postgresql+psycopg://nobody@localhost/nothing", auth_provider=AuthProvider.API_KEY)
    ).url_map.iter_rules()
    for method in sorted(rule.methods or ())
]
GUARDED = [(rule, method) for rule, method in ROUTES if ROLES[rule.endpoint] is not None]
OPEN = [(rule, method) for rule, method in ROUTES if ROLES[rule.endpoint] is None]


def name_of(value: Rule | str) -> str:
    """How a parameter is called in a test's name."""
    return value.rule if isinstance(value, Rule) else value


def url_of(app: Flask, rule: Rule) -> str:
    values = {name: "index.css" if name == "path" else "x" for name in rule.arguments}
    return app.url_map.bind("localhost").build(rule.endpoint, values, method=next(iter(rule.methods or ())))


def test_every_route_is_in_the_table_and_the_table_has_no_other(app: Flask) -> None:
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == ROLES.keys()


def test_an_application_with_a_route_that_is_not_in_the_table_does_not_start() -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/forgotten", "forgotten")
    with pytest.raises(LookupError, match="forgotten"):
        register(app)


@pytest.mark.parametrize(("rule", "method"), GUARDED, ids=name_of)
def test_nobody_enters_without_a_credential(app: Flask, rule: Rule, method: str) -> None:
    response = app.test_client().open(url_of(app, rule), method=method)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    if method != "HEAD":
        refused(response, 401, "AuthenticationFailed")


# OPTIONS goes to whichever rule of a path comes first.
@pytest.mark.parametrize(("rule", "method"), [each for each in GUARDED if each[1] != "OPTIONS"], ids=name_of)
def test_a_role_below_the_routes_is_refused_and_the_routes_own_enters(
    make_api: Callable[..., Api], app: Flask, rule: Rule, method: str
) -> None:
    required = ROLES[rule.endpoint]
    for role in Role:
        api = make_api(role, DEFAULT_TENANT)  # others' administrators do not get everywhere
        response = api.request(method, url_of(app, rule), json={} if method in ("PUT", "POST") else None)
        allowed = required is not None and role.allows(required)
        assert (response.status_code not in (401, 403)) is allowed, (role, response.text)
        if not allowed and required and method != "HEAD":
            details = refused(response, 403, "InsufficientPermissions")["details"]
            assert details == {"required": required.value, "actual": role.value}


@pytest.mark.parametrize(("rule", "method"), OPEN, ids=name_of)
def test_open_routes_ask_for_nothing_and_mind_nothing(app: Flask, rule: Rule, method: str) -> None:
    headers = {"Authorization": "Bearer wrong"}
    with app.test_client().open(url_of(app, rule), method=method, headers=headers) as response:
        assert response.status_code in (200, 503), response.get_data()  # 503: readyz, on a server without fsync


def test_the_open_routes_are_these() -> None:
    assert {rule.rule for rule, _ in OPEN} == {
        *("/healthz", "/readyz", "/config/authentication", "/openapi.json", "/docs/", "/docs/<path:path>"),
    }


def test_reading_roles_read_and_a_token_needs_write(make_api: Callable[..., Api]) -> None:
    make_api(Role.WRITE).position(1, 1, 0)
    reader, writer = make_api(Role.READ), make_api(Role.WRITE)
    assert reader.stats().status_code == 200
    refused(reader.issue(), 403, "InsufficientPermissions")
    assert reader.check(writer.token()).status_code == 202
    for response in (reader.report({}, 1), reader.remove(), reader.batch(), reader.set_pipeline("Stopped")):
        refused(response, 403, "InsufficientPermissions")


def with_checksum(body: str) -> str:
    return body + base64.b32encode(zlib.crc32(body.encode()).to_bytes(4, "big")).decode().rstrip("=").lower()


def wrong_credentials(key: str) -> Iterator[str | None]:
    """What may be sent in place of the key, spelt so that it can be told to be wrong without asking the database."""
    last = "a" if key[-1] != "a" else "b"
    yield from (None, "", "Bearer", "Bearer ", key, f"Basic {key}", f"Bearer {key[:-1]}{last}", f"Bearer {key}a")
    yield from (f"Bearer {key[:-1]}", f"Bearer {key.upper()}", f"Bearer {key} {key}", "Bearer tmk_a_b", "Bearer ü")
    yield from (f"Bearer {key[:30]}{'a' if key[30] != 'a' else 'b'}{key[31:]}", f"Bearer apikey:{key}")
    yield from (f"Bearer {with_checksum(key[:-8])}", f"Bearer {key}\xa0")


def carries_a_token(credential: str | None) -> bool:
    """What a bad token is told, and what one who sends none, are two answers: tests/api/test_challenge.py."""
    return (credential or "").startswith("Bearer ") and credential != "Bearer "


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """The statements that the application sends meanwhile."""
    statements: list[str] = []

    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    sa.event.listen(engine_of(app), "before_cursor_execute", count)
    yield statements
    sa.event.remove(engine_of(app), "before_cursor_execute", count)


def test_a_credential_that_is_no_key_is_refused_without_a_statement(app: Flask, make_key: MakeKey) -> None:
    client = app.test_client()
    answers = set()
    with counted(app) as statements:
        for credential in filter(carries_a_token, wrong_credentials(make_key())):
            response = client.get(STATS, headers={"Authorization": credential} if credential is not None else {})
            refused(response, 401, "AuthenticationFailed")
            answers.add((response.get_data(), str(response.headers)))
    assert statements == []
    assert len(answers) == 1


def unknown_id(key: ApiKeyText, **_: Any) -> ApiKeyText:
    return ApiKeyText.make(uuid.uuid4().bytes[:10], key.digest)


def wrong_secret(key: ApiKeyText, **_: Any) -> ApiKeyText:
    return ApiKeyText(key.id, ApiKeyText.make(bytes(10), bytes(32)).secret)


def revoked(key: ApiKeyText, connection: sa.Connection, tenant: str) -> ApiKeyText:
    revoke_key(connection, command_line(tenant), "doomed")
    return key


def expired(key: ApiKeyText, connection: sa.Connection, **_: Any) -> ApiKeyText:
    connection.execute(sa.update(ApiKey).where(ApiKey.id == key.id).values(expires_at=sa.func.now()))
    return key


@pytest.mark.parametrize("spoil", [unknown_id, wrong_secret, revoked, expired])
def test_a_key_that_is_not_valid_gets_the_same_answer_whatever_is_wrong(
    app: Flask,
    make_key: MakeKey,
    engine: sa.Engine,
    tenant: str,
    spoil: Callable[..., ApiKeyText],
) -> None:
    key = make_key(Role.ADMIN, tenant, "doomed")
    client = app.test_client()
    assert client.get("/v0/config", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    with engine.begin() as connection:
        spoilt = spoil(ApiKeyText.parse(key), connection=connection, tenant=tenant)
    app.extensions["tidemark"].principals.forget()  # as it does by itself, a moment later
    response = client.get("/v0/config", headers={"Authorization": f"Bearer {spoilt}"})
    refused(response, 401, "AuthenticationFailed")
    none = client.get("/v0/config", headers={"Authorization": "Bearer nonsense"})
    assert (response.get_data(), str(response.headers)) == (none.get_data(), str(none.headers))


@pytest.mark.parametrize("spoil", [unknown_id, wrong_secret, revoked, expired])
def test_the_work_does_not_tell_what_is_wrong_with_a_key(
    app: Flask,
    make_key: MakeKey,
    engine: sa.Engine,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[..., ApiKeyText],
) -> None:
    """Work is counted here, for a clock would tell of the machine: a statement, a comparison of 32 bytes, no cache."""
    key = ApiKeyText.parse(make_key(Role.ADMIN, tenant, "doomed"))
    with engine.begin() as connection:
        spoilt = spoil(key, connection=connection, tenant=tenant)
    compared: list[tuple[int, int]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(authenticate, "hmac", SimpleNamespace(compare_digest=compare))
    with counted(app) as statements:
        for path in ("/v0/config", "/v0/api_keys"):
            response = app.test_client().get(path, headers={"Authorization": f"Bearer {spoilt}"})
            refused(response, 401, "AuthenticationFailed")
    assert compared == [(32, 32)] * 2
    assert [statement.partition("FROM")[2].split()[0] for statement in statements] == ["api_key"] * 2
    assert len(set(statements)) == 1


def test_a_key_that_expires_later_is_valid(app: Flask, make_key: MakeKey, engine: sa.Engine) -> None:
    key = make_key()
    with engine.begin() as connection:
        later = sa.func.now() + sa.text("interval '1 minute'")
        connection.execute(sa.update(ApiKey).where(ApiKey.id == ApiKeyText.parse(key).id).values(expires_at=later))
    assert Api(app, key).get("/v0/config").status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_taken_in_any_case(app: Flask, make_key: MakeKey, scheme: str) -> None:
    headers = {"Authorization": f"{scheme}  {make_key()} "}
    assert app.test_client().get("/v0/config", headers=headers).status_code == 200


def test_config_tells_who_the_caller_is(make_api: Callable[..., Api], tenant: str) -> None:
    config = make_api(Role.WRITE).get("/v0/config").get_json()
    assert (config["edition"], config["tenant"], config["role"]) == ("Open source", tenant, "write")


def test_a_key_pins_its_tenant_whatever_the_headers_say(api: Api, tenant: str) -> None:
    assert api.get("/v0/config", headers={"Feldera-Tenant": "default"}).get_json()["tenant"] == tenant


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}])
def test_without_an_auth_provider_the_credential_is_ignored(make_app: MakeApp, header: dict[str, str]) -> None:
    config = make_app().test_client().get("/v0/config", headers=header).get_json()
    assert (config["tenant"], config["role"]) == ("default", "admin")


def test_a_token_is_issued_in_the_name_of_its_key(
    app: Flask, make_key: MakeKey, engine: sa.Engine, tenant: str
) -> None:
    api = Api(app, make_key(Role.WRITE, tenant, "nightly-job"), tenant)
    api.position(1, 1, 0)
    assert api.issue(ORDERS).status_code == 200
    with engine.connect() as connection:
        issued_by = connection.scalars(
            sa.text(
                "SELECT issued_by FROM completion_token AS t JOIN connector AS c ON c.id = connector_id"
                " WHERE tenant_id = :tenant"
            ),
            {"tenant": api.tenant_id},
        ).all()
    assert issued_by == ["nightly-job"]
