"""Which of the published keys are taken, and for what."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from app.services.oidc.jwks import pinned_keys
from tests.services.oidc.issuer import b64, p256, public, rsa

RSA, EC = public(rsa()), public(p256())


def algorithms(*entries: Any) -> dict[str, str]:
    return {key_id: key.algorithm for key_id, key in pinned_keys({"keys": list(entries)}).items()}


def test_a_key_has_the_algorithm_of_its_kind() -> None:
    assert algorithms(RSA, EC) == {"rsa": "RS256", "ec": "ES256"}


@pytest.mark.parametrize(
    "changed",
    [
        {"use": "sig"},
        {"alg": "RS256"},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"]},
        {"x5c": ["MIIB"]},
        {"x": 1},
    ],
)
def test_what_is_said_of_a_key_may_confirm_it(changed: dict[str, Any]) -> None:
    assert algorithms({**RSA, **changed}) == {"rsa": "RS256"}


UNFIT = {
    "for encryption": {**RSA, "use": "enc"},
    "for an unknown use": {**RSA, "use": 1},
    "for other operations": {**RSA, "key_ops": ["encrypt"]},
    "for operations that are no list": {**RSA, "key_ops": "verify"},
    "for RS512": {**RSA, "alg": "RS512"},
    "for RSA-OAEP": {**RSA, "alg": "RSA-OAEP"},
    "an EC key for RS256": {**EC, "alg": "RS256"},
    "no algorithm": {**RSA, "alg": None},
    "private": rsa().as_dict(private=True),
    "a private EC key": p256().as_dict(private=True),
    "1024 bits": public(rsa("weak", 1024)),
    "2040 bits": {**RSA, "n": b64(b"\xff" * 255)},
    "8200 bits": {**RSA, "n": b64(b"\xff" * 1025)},
    "an exponent of 1": {**RSA, "e": b64(b"\1")},
    "an even exponent": {**RSA, "e": b64(b"\1\0\0")},
    "an exponent that takes its time": {**RSA, "e": b64(b"\1" * 5)},
    "a modulus that is no base64url": {**RSA, "n": RSA["n"][:-1] + "+"},
    "a modulus that is a number": {**RSA, "n": 7},
    "no modulus": public(rsa(), n=None),
    "no exponent": public(rsa(), e=None),
    "P-384": public(ECKey.generate_key("P-384", {"kid": "p384"})),
    "P-384 said to be P-256": {**public(ECKey.generate_key("P-384", {"kid": "p384"})), "crv": "P-256"},
    "off the curve": {**EC, "x": EC["y"], "y": EC["x"]},
    "the point at infinity": {**EC, "x": b64(bytes(32)), "y": b64(bytes(32))},
    "half a point": public(p256(), y=None),
    "a shared secret": {"kty": "oct", "kid": "oct", "k": b64(b"x" * 32)},
    "an Edwards curve": {"kty": "OKP", "kid": "okp", "crv": "Ed25519", "x": b64(b"x" * 32)},
    "no kind": public(rsa(), kty=None),
    "a kind that is a list": {**RSA, "kty": ["RSA"]},
    "no id": public(rsa(), kid=None),
    "an empty id": {**RSA, "kid": ""},
    "an id that is a number": {**RSA, "kid": 7},
    "a text": "rsa",
    "null": None,
}


@pytest.mark.parametrize("name", UNFIT)
def test_an_unfit_key_is_left_out_and_leaves_the_others_alone(name: str) -> None:
    assert algorithms(UNFIT[name], public(rsa(), kid="good")) == {"good": "RS256"}


def test_of_two_keys_with_one_id_there_is_none() -> None:
    assert algorithms(RSA, {**EC, "kid": "rsa"}, EC) == {"ec": "ES256"}
    assert algorithms(RSA, RSA) == {}
    assert algorithms(RSA, {**RSA, "use": "enc"}) == {"rsa": "RS256"}, "the other one verifies nothing"


def test_of_very_many_keys_only_the_first_are_looked_at() -> None:
    assert len(algorithms(*({**EC, "kid": str(number)} for number in range(200)))) == 100


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([RSA["n"], EC["x"], "RSA", "EC"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*RSA, *EC, "alg", "use", "keys", "d"]), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(max_examples=50)
@given(JSON.map(lambda value: {"keys": value}) | st.lists(JSON).map(lambda value: {"keys": value}))
def test_no_document_is_too_much(document: dict[str, Any]) -> None:
    assert all(isinstance(key_id, str) for key_id in pinned_keys(document))
