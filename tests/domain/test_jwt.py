"""Tokens taken apart: all that is in them counts as it stands, or the token does not count."""

import base64
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import AuthenticationFailed
from app.domain.jwt import MAX_BYTES, AccessToken, TokenRules, base64url, parse
from app.domain.roles import Role
from tests.services.oidc.attacks import MALFORMED
from tests.services.oidc.issuer import Issuer

ISSUER = Issuer("https://id.example.com")
NOW = 1_800_000_000.0
RULES = TokenRules(
    issuer="https://id.example.com",
    audience="tidemark",
    types=frozenset({"at+jwt", "none"}),
    tenants_claim="tenants",
    roles_claim="access.roles",
    roles={"reader": Role.READ, "ops": Role.ADMIN},
)
HEADER = {"alg": "RS256", "kid": "k1", "typ": "at+jwt"}
CLAIMS = {
    "iss": "https://id.example.com",
    "aud": ["other", "tidemark"],
    "sub": "ada",
    "iat": NOW - 10,
    "exp": NOW + 10,
    "tenants": ["acme"],
    "access": {"roles": ["reader"]},
}
TOKEN = AccessToken(
    key_id="k1", algorithm="RS256", subject="ada", expires_at=NOW + 10, tenants=frozenset({"acme"}), role=Role.READ
)

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.dictionaries(NAMES, VALUES, max_size=4)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def spelled(header: Any, claims: Any, signature: bytes = b"\1\2\3") -> str:
    return ".".join([b64(json.dumps(header).encode()), b64(json.dumps(claims).encode()), b64(signature)])


def parsed(text: str) -> AccessToken | None:
    """Nothing else than this one refusal is ever raised."""
    try:
        return parse(text, RULES, NOW)
    except AuthenticationFailed:
        return None


@settings(max_examples=50)
@given(MEMBERS, MEMBERS, st.binary(min_size=1, max_size=300))
def test_whatever_else_a_token_holds_does_not_matter(header: Any, claims: Any, signature: bytes) -> None:
    for reserved in ("crit", "b64"):
        header.pop(reserved, None)
    claims.pop("nbf", None)
    assert parsed(spelled(header | HEADER, claims | CLAIMS, signature)) == TOKEN


@given(st.sampled_from(sorted(HEADER)), VALUES)
def test_no_other_value_in_the_header_passes_for_a_right_one(name: str, value: Any) -> None:
    found = parsed(spelled(HEADER | {name: value}, CLAIMS))
    if found is not None:
        assert (name, found.key_id) == ("kid", value) or value == HEADER[name] or (name, value) == ("typ", "none")


@given(st.sampled_from(["iss", "aud", "sub", "iat", "exp", "nbf"]), VALUES)
def test_no_other_value_in_the_claims_passes_for_a_right_one(name: str, value: Any) -> None:
    found = parsed(spelled(HEADER, CLAIMS | {name: value}))
    if found is None:
        return
    assert not isinstance(value, bool)
    fits = {
        "iss": value == RULES.issuer,
        "aud": value == "tidemark" or (isinstance(value, list) and "tidemark" in value),
        "sub": found.subject == value,
        "iat": isinstance(value, int) and 0 <= value <= NOW,
        "exp": isinstance(value, int) and value > NOW,
        "nbf": isinstance(value, int) and 0 <= value <= NOW,
    }
    assert fits[name]


@given(st.sampled_from(["tenants", "access"]), VALUES)
def test_what_a_token_gives_is_texts_and_only_those_it_names(name: str, value: Any) -> None:
    found = parsed(spelled(HEADER, CLAIMS | {name: value}))
    if found is not None:
        whole = json.dumps(value)
        assert all(json.dumps(tenant)[1:-1] in whole for tenant in found.tenants) or name == "access"
        assert found.role is not Role.ADMIN or '"ops"' in whole


GOOD = spelled(HEADER, CLAIMS)


@given(st.data())
def test_a_token_that_is_changed_anywhere_is_refused_or_says_so_in_one_spelling_only(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(GOOD)))
    cut = data.draw(st.integers(0, 3))
    put = data.draw(st.text(max_size=3) | st.text("ABCDwxyz0189-_.=+/ ", max_size=3))
    changed = GOOD[:place] + put + GOOD[place + cut :]
    if parsed(changed) is not None:
        assert changed == ".".join(b64(base64url(segment)) for segment in changed.split("."))


@given(st.text(max_size=60) | st.text("eyJhbGciOi.-_=", max_size=60))
def test_of_any_text_nothing_else_comes_than_a_refusal(text: str) -> None:
    assert parsed(text) is None


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_of_any_bytes_in_the_right_form_too(header: bytes, claims: bytes) -> None:
    good_header, good_claims, signature = GOOD.split(".")
    assert parsed(f"{b64(header)}.{good_claims}.{signature}") is None
    assert parsed(f"{good_header}.{b64(claims)}.{signature}") is None


@given(st.binary(max_size=30))
def test_bytes_have_one_spelling(raw: bytes) -> None:
    assert base64url(b64(raw)) == raw


@given(st.text("ABCQgw-_09=+/ \n", max_size=9))
def test_no_other_spelling_is_read(text: str) -> None:
    try:
        raw = base64url(text)
    except ValueError:
        return
    assert b64(raw) == text


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_seen_before_anybody_is_asked_for_a_key(name: str) -> None:
    rules = replace(RULES, issuer=ISSUER.base, types=frozenset({"at+jwt"}), roles_claim="roles")
    assert parse(ISSUER.token(), rules, time.time()).subject == "ada"
    with pytest.raises(AuthenticationFailed):
        parse(MALFORMED[name](ISSUER), rules, time.time())


def test_the_longest_token_is_taken_and_one_byte_more_is_not() -> None:
    paddings = range(MAX_BYTES * 3 // 4 - 500, MAX_BYTES * 3 // 4)
    texts = [spelled(HEADER, CLAIMS | {"x": "x" * n}, bytes(size)) for n in paddings for size in (1, 2, 3)]
    by_length = {len(text): text for text in texts}
    assert parsed(by_length[MAX_BYTES]) == TOKEN
    assert parsed(by_length[MAX_BYTES + 1]) is None


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "AT+JWT"}, {}),
        ({"typ": "application/at+jwt"}, {}),
        ({"alg": "ES256"}, {}),
        ({"jku": "https://evil.example/", "x5u": 1, "jwk": {"k": "x"}, "x5c": ["x"], "nonce": "x"}, {}),
        ({}, {"aud": "tidemark"}),
        ({}, {"exp": int(NOW) + 1}),
        ({}, {"exp": NOW + 0.25}),
        ({}, {"iat": NOW + 60}),
        ({}, {"nbf": NOW + 60}),
        ({}, {"sub": "auth0|ädä 7"}),
        ({}, {"sub": "a" * 255}),
    ],
)
def test_what_is_allowed_is_taken(header: Any, claims: Any) -> None:
    assert parsed(spelled(HEADER | header, CLAIMS | claims)) is not None


@pytest.mark.parametrize("claims", [{"exp": NOW}, {"exp": NOW - 0.25}, {"iat": NOW + 60.5}, {"nbf": NOW + 60.5}])
def test_a_moment_too_late_or_too_early_is_not(claims: Any) -> None:
    assert parsed(spelled(HEADER, CLAIMS | claims)) is None
