"""Access tokens of an identity provider, as their bearers use them."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.config import AuthProvider
from app.domain.roles import Role
from app.lean import LeanFlask
from tests.api.client import ORDERS, Api, refused
from tests.api.conftest import MakeApp, MakeKey
from tests.api.test_access import counted
from tests.services.oidc.issuer import AUDIENCE, WELL_KNOWN, Issuer, make_tenants

MakeOidcApp = Callable[..., LeanFlask]


@pytest.fixture(scope="module")
def make_oidc_app(make_app: MakeApp, served_issuer: Issuer) -> MakeOidcApp:
    return partial(
        make_app,
        auth_provider=AuthProvider.GENERIC_OIDC,
        oidc_issuer=served_issuer.base,
        oidc_audience=AUDIENCE,
        oidc_client_id="tidemark-web",
        oidc_extra_scopes=("roles",),
    )


@pytest.fixture(scope="module")
def oidc_app(make_oidc_app: MakeOidcApp) -> LeanFlask:
    return make_oidc_app()


@pytest.fixture
def own(engine: sa.Engine, tenant: str) -> str:
    """The test's own tenant, which is there."""
    make_tenants(engine, tenant)
    return tenant


@pytest.fixture
def token(issuer: Issuer, own: str) -> Callable[..., str]:
    """Makes tokens for the test's own tenant."""
    return lambda **claims: issuer.token(claims=issuer.claims(**{"tenants": [own], **claims}))


def whoami(app: Flask, token: str, **headers: str) -> Any:
    return app.test_client().get("/v0/config", headers={"Authorization": f"Bearer {token}", **headers})


def test_the_provider_is_told_as_feldera_tells_it(oidc_app: Flask, issuer: Issuer, make_app: MakeApp) -> None:
    told = oidc_app.test_client().get("/config/authentication").get_json()
    provider = {"issuer": issuer.base, "client_id": "tidemark-web", "extra_oidc_scopes": ["roles"]}
    assert told == {"GenericOidc": provider}
    for other in (AuthProvider.NONE, AuthProvider.API_KEY):
        assert make_app(auth_provider=other).test_client().get("/config/authentication").get_json() == {}


@pytest.mark.parametrize("role", Role)
def test_a_bearer_may_do_what_the_tokens_role_allows(
    oidc_app: Flask, token: Callable[..., str], own: str, role: Role
) -> None:
    answer = whoami(oidc_app, token(roles=[role.value])).get_json()
    assert (answer["tenant"], answer["role"]) == (own, role.value)
    api = Api(oidc_app, token(roles=[role.value]), own)
    written = api.position(1, 1, 0)
    if role is Role.READ:
        assert refused(written, 403, "InsufficientPermissions")["details"] == {"required": "write", "actual": "read"}
    else:
        assert written.status_code == 201


def test_api_keys_are_taken_as_before(oidc_app: Flask, make_key: MakeKey, tenant: str) -> None:
    key = make_key(Role.WRITE, tenant)
    for headers in ({}, {"Feldera-Tenant": "another"}):
        assert whoami(oidc_app, key, **headers).get_json()["tenant"] == tenant
    refused(whoami(oidc_app, f"{key[:-1]}!"), 401, "AuthenticationFailed")


def test_where_no_provider_is_configured_no_token_is_taken(app: Flask, token: Callable[..., str]) -> None:
    refused(whoami(app, token()), 401, "AuthenticationFailed")


def test_a_completion_token_is_issued_in_the_name_of_the_subject(
    oidc_app: Flask, token: Callable[..., str], own: str
) -> None:
    api = Api(oidc_app, token(sub="auth0|ädä"), own)
    api.position(1, 1, 0)
    issued = api.token()
    assert api.get(f"/v0/completion_tokens/{issued}").get_json()["issued_by"] == "auth0|ädä"


def test_an_api_key_can_be_made_with_a_token_and_not_above_its_role(
    oidc_app: Flask, token: Callable[..., str], own: str
) -> None:
    api = Api(oidc_app, token(roles=["write"]), own)
    made = api.request("POST", "/v0/api_keys", json={"name": "ci", "role": "write"}).get_json()
    assert whoami(oidc_app, made["api_key"]).get_json()["tenant"] == own
    refused(api.request("POST", "/v0/api_keys", json={"name": "root", "role": "admin"}), 403, "InsufficientPermissions")


def test_the_tenant_is_chosen_by_the_header(
    oidc_app: Flask, token: Callable[..., str], make_key: MakeKey, own: str
) -> None:
    make_key(tenant=(other := f"{own}-other"))
    both = token(tenants=[own, other])
    for tenant in (own, other):
        assert whoami(oidc_app, both, **{"Feldera-Tenant": tenant}).get_json()["tenant"] == tenant
    refused(whoami(oidc_app, both), 401, "AuthenticationFailed")


def test_a_tenant_that_is_not_there_and_another_s_are_answered_in_the_same_bytes(
    oidc_app: Flask, token: Callable[..., str], make_key: MakeKey, own: str
) -> None:
    make_key(tenant=(foreign := f"{own}-foreign"))
    answers = set()
    for claimed, chosen in (
        ([own], foreign),
        ([own], f"{own}-unknown"),
        ([own, f"{own}-gone"], f"{own}-gone"),
        ([own, foreign], ""),
        ([f"{own}-gone"], ""),
        ([], own),
        ([own], "a b\xff"),
    ):
        answer = whoami(oidc_app, token(tenants=claimed), **{"Feldera-Tenant": chosen})
        refused(answer, 401, "AuthenticationFailed")
        answers.add((answer.get_data(), answer.headers["WWW-Authenticate"]))
    assert len(answers) == 1


def test_what_is_in_another_tenant_is_not_there(
    oidc_app: Flask, token: Callable[..., str], make_key: MakeKey, own: str
) -> None:
    make_key(tenant=(other := f"{own}-other"))
    Api(oidc_app, token(), own).position(1, 1, 0)
    both = Api(oidc_app, token(tenants=[own, other]))
    assert both.get(f"{ORDERS}/stats", headers={"Feldera-Tenant": own}).status_code == 200
    refused(both.get(f"{ORDERS}/stats", headers={"Feldera-Tenant": other}), 404, "UnknownPipelineName")


def test_a_token_costs_one_statement_more_every_two_seconds_and_no_request(
    make_oidc_app: MakeOidcApp, issuer: Issuer, token: Callable[..., str], own: str
) -> None:
    app = make_oidc_app()
    now = [1000.0]
    app.extensions["tidemark"].bearers._clock = lambda: now[0]
    api = Api(app, token(), own)
    assert api.position(1, 1, 0).status_code == 201
    with counted(app) as statements:
        for seconds, looks in ((1001.9, 0), (1002.1, 1), (1004.0, 0), (1004.2, 1)):
            now[0] = seconds
            statements.clear()
            assert api.stats().status_code == 200
            assert api.stats().status_code == 200
            assert len(statements) == 2 + looks
    assert issuer.asked == [WELL_KNOWN, "/jwks"]


def test_while_the_provider_is_down_nobody_can_say_and_then_it_clears(
    make_oidc_app: MakeOidcApp, issuer: Issuer, token: Callable[..., str], own: str
) -> None:
    app = make_oidc_app()
    issuer.answers[WELL_KNOWN] = (503, {}, b"")
    answer = whoami(app, token())
    refused(answer, 503, "IdentityProviderUnavailable")
    assert answer.headers["Retry-After"] == "5"
    refused(whoami(app, "nonsense"), 401, "AuthenticationFailed")
    issuer.answers.clear()
    app.extensions["tidemark"].bearers._key.__self__._refresh_at = 0.0  # as it is, five seconds later
    assert whoami(app, token()).status_code == 200
    issuer.answers[WELL_KNOWN] = (503, {}, b"")
    app.extensions["tidemark"].bearers._key.__self__._refresh_at = 0.0
    assert whoami(app, token()).status_code == 200, "with the keys that there were"


def test_while_the_database_is_down_a_token_is_not_called_wrong(
    make_oidc_app: MakeOidcApp, token: Callable[..., str]
) -> None:
    app = make_oidc_app(database_url="postgresql+psycopg://nobody@127.0.0.1:9/nothing", request_timeout=1.0)
    refused(whoami(app, token()), 503, "ServiceUnavailable")


def test_a_stream_ends_with_its_token(
    oidc_app: Flask, token: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.follow.HEARTBEAT_SECONDS", 0.05)
    ended = threading.Event()
    answer = oidc_app.test_client().get(
        "/v0/events", headers={"Authorization": f"Bearer {token(exp=int(time.time()) + 2)}"}, buffered=False
    )
    assert answer.status_code == 200

    def read() -> None:
        for _ in answer.iter_encoded():
            pass
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    assert ended.wait(60)
    answer.close()


def test_those_who_wait_are_counted_by_subject(make_oidc_app: MakeOidcApp, token: Callable[..., str]) -> None:
    app = make_oidc_app(max_streams=3, max_streams_per_credential=1)
    streams = [app.test_client().get("/v0/events", headers={"Authorization": f"Bearer {token()}"}, buffered=False)]
    again = {"Authorization": f"Bearer {token(exp=int(time.time()) + 100)}"}
    refused(app.test_client().get("/v0/events", headers=again), 429, "TooManyRequests")
    other = {"Authorization": f"Bearer {token(sub='grace')}"}
    streams.append(app.test_client().get("/v0/events", headers=other, buffered=False))
    assert [stream.status_code for stream in streams] == [200, 200]
    for stream in streams:
        stream.close()
