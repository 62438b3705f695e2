"""Tokens that nobody may be let in with: none gets further than 401, and none makes the server ask anybody about it."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.config import AuthProvider
from tests.api.client import refused
from tests.api.conftest import MakeApp
from tests.api.test_access import counted
from tests.services.oidc.attacks import ATTACKS, UNENTITLED, publish
from tests.services.oidc.issuer import AUDIENCE, Issuer, make_tenants, serving_issuer

PATH = "/v0/config"


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """Whom this process connects to over TCP, or looks up. (libpq's connections are none of Python's.)"""
    made: set[Any] = set()

    def recorded(do: Callable[..., Any], whom: slice) -> Callable[..., Any]:
        def record(*arguments: Any, **options: Any) -> Any:
            made.update(arguments[whom])
            return do(*arguments, **options)

        return record

    monkeypatch.setattr(socket.socket, "connect", recorded(socket.socket.connect, slice(1, 2)))
    monkeypatch.setattr(socket, "getaddrinfo", recorded(socket.getaddrinfo, slice(0, 1)))
    return made


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with serving_issuer() as issuer:
        publish(issuer)
        yield issuer


@pytest.fixture(scope="module")
def oidc_app(make_app: MakeApp, issuer: Issuer, engine: sa.Engine) -> Flask:
    make_tenants(engine, "acme")
    return make_app(
        auth_provider=AuthProvider.GENERIC_OIDC,
        oidc_issuer=issuer.base,
        oidc_audience=AUDIENCE,
        oidc_client_id="web",
    )


def get(app: Flask, token: str, **headers: str) -> Any:
    """Past the client's own checks of what a header may hold: a server does not make them all."""
    environ = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    return app.test_client().get(PATH, headers=headers, environ_overrides=environ)


def told(answer: Any) -> tuple[bytes, str]:
    """What an attacker could learn of it."""
    return answer.get_data(), answer.headers["WWW-Authenticate"]


def test_the_token_that_they_are_made_from_is_good(oidc_app: Flask, issuer: Issuer) -> None:
    for algorithm in ("RS256", "ES256"):
        answer = get(oidc_app, issuer.token(algorithm=algorithm))
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", ATTACKS)
def test_a_token_that_is_not_right_is_answered_like_any_nonsense(oidc_app: Flask, issuer: Issuer, name: str) -> None:
    answer = get(oidc_app, ATTACKS[name](issuer))
    refused(answer, 401, "AuthenticationFailed")
    assert told(answer) == told(get(oidc_app, "nonsense"))


@pytest.mark.parametrize("name", UNENTITLED)
def test_a_token_that_gives_nothing_lets_nobody_in(oidc_app: Flask, issuer: Issuer, name: str) -> None:
    answer = get(oidc_app, UNENTITLED[name](issuer))
    refused(answer, 401, "AuthenticationFailed")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 60


def test_they_make_nobody_ask_anything_but_the_provider_for_its_keys(
    make_app: MakeApp, issuer: Issuer, connections: set[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """However many there are: once at the beginning, and once more because of keys that nobody knows."""
    app = make_app(
        auth_provider=AuthProvider.GENERIC_OIDC, oidc_issuer=issuer.base, oidc_audience=AUDIENCE, oidc_client_id="web"
    )
    tokens = [attack(issuer) for attack in ATTACKS.values()]
    before = len(issuer.asked)
    connections.clear()
    with counted(app) as statements:
        assert {get(app, token).status_code for token in tokens} == {401}
    assert issuer.asked[before:] == ["/.well-known/openid-configuration", "/jwks"] * 2
    assert connections == {"127.0.0.1", ("127.0.0.1", int(issuer.base.rpartition(":")[2]))}
    assert statements == []
    assert not caplog.records
