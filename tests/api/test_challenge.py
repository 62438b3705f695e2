"""What those who are turned away are told to do about it: WWW-Authenticate, as RFC 6750 §3 has it."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain.roles import Role
from tests.api.client import ORDERS, PIPELINE, STATS, Api, refused
from tests.api.conftest import MakeKey

REALM = 'Bearer realm="tidemark"'
INVALID = f'{REALM}, error="invalid_token", error_description="The token is malformed, unknown, revoked or expired"'
# RFC 6750 §3: what may stand in the attributes' values.
CHALLENGE = re.compile(r'Bearer realm="[^"\\]+"(, (error|error_description|scope)="[\x20-\x21\x23-\x5b\x5d-\x7e]+")*')


def challenge(response: TestResponse) -> str:
    (told,) = response.headers.getlist("WWW-Authenticate")
    assert CHALLENGE.fullmatch(told)
    return told


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer  ", "Basic dXNlcjpwYXNz", "tmk_abc", "Digest x=y"])
def test_who_sends_no_token_is_told_the_scheme_and_of_no_error(app: Flask, sent: str | None) -> None:
    response = app.test_client().get(STATS, headers={} if sent is None else {"Authorization": sent})
    refused(response, 401, "AuthenticationFailed")
    assert challenge(response) == REALM


@pytest.mark.parametrize("sent", ["Bearer x", "bearer tmk_a_b", "Bearer ü", 'Bearer "', "Bearer a b", "Bearer  x "])
def test_who_sends_a_bad_one_is_told_that_it_is_and_nothing_of_it(app: Flask, sent: str) -> None:
    response = app.test_client().get(STATS, headers={"Authorization": sent})
    refused(response, 401, "AuthenticationFailed")
    assert challenge(response) == INVALID


def test_a_key_of_the_right_form_that_nobody_was_given_is_told_the_same(app: Flask, make_key: MakeKey) -> None:
    known, api = make_key(), Api(app)
    api.headers["Authorization"] = f"Bearer {known[:-1]}{'a' if known[-1] != 'a' else 'b'}"
    assert challenge(api.stats()) == INVALID


@pytest.mark.parametrize(
    ("required", "ask"),
    [
        ("write", lambda api: api.issue()),
        ("write", lambda api: api.remove(ORDERS)),
        ("write", lambda api: api.get("/v0/api_keys")),
        ("write", lambda api: api.set_pipeline("Stopped", PIPELINE)),
    ],
)
def test_whose_role_is_too_low_is_told_the_one_it_takes(
    make_api: Callable[..., Api], required: str, ask: Callable[[Api], TestResponse]
) -> None:
    response = ask(make_api(Role.READ))
    refused(response, 403, "InsufficientPermissions")
    description = 'error_description="The role of the token is too low"'
    assert challenge(response) == f'{REALM}, error="insufficient_scope", {description}, scope="{required}"'


def test_a_role_above_ones_own_is_told_so_too(make_api: Callable[..., Api]) -> None:
    response = make_api(Role.WRITE).request("POST", "/v0/api_keys", json={"name": "ci", "role": "admin"})
    refused(response, 403, "InsufficientPermissions")
    assert 'scope="admin"' in challenge(response)


def test_nobody_else_is_challenged(api: Api) -> None:
    for response in (api.stats(), api.get("/v0/nothing"), api.get("/healthz"), api.position(1, 1, 0), api.issue()):
        assert "WWW-Authenticate" not in response.headers
