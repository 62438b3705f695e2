"""Coverage-guided fuzzing of what judges access tokens and the keys for them.

It begins with the tokens of tests/services/oidc/attacks.py. What is refused must be refused in the one way, and what is
let in must be what an independent, slower look takes for right.
"""

import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

import atheris
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

with atheris.instrument_imports(include=["app.domain", "app.services.oidc", "joserfc"]):
    from app.domain.errors import AuthenticationFailed
    from app.domain.jwt import MAX_BYTES, TokenRules
    from app.domain.names import tenant_id
    from app.domain.roles import Role
    from app.domain.strict_json import decode_object
    from app.services.oidc.bearers import Bearer, Bearers
    from app.services.oidc.jwks import PinnedKey, pinned_keys

from tests.services.oidc.attacks import ATTACKS, UNENTITLED, publish
from tests.services.oidc.issuer import AUDIENCE, Issuer, b64, json_bytes, p256, rsa, signature

TOKEN, SIGNED, KEYS = b"t", b"s", b"k"  # how an input begins: a token; header, empty line, claims; a set of keys
PARTED = b"\n\n"

ISSUER = Issuer("https://id.example.com")
publish(ISSUER)
PINNED = pinned_keys({"keys": ISSUER.keys})
NOW = time.time()
RULES = TokenRules(
    issuer=ISSUER.base,
    audience=AUDIENCE,
    types=frozenset({"at+jwt"}),
    tenants_claim="tenants",
    roles_claim="roles",
    roles={role.value: role for role in Role},
)
FOREIGN = Issuer("https://elsewhere.example.com").token(key=p256("nobody's"), algorithm="ES256")


def key(key_id: str) -> PinnedKey:
    """The provider's."""
    if key_id not in PINNED:
        raise AuthenticationFailed
    return PINNED[key_id]


def judge(text: str) -> None:
    """Lets the token in, or refuses it; anything else is a finding."""
    bearers = Bearers(RULES, key, tenant_id, now=lambda: NOW)
    for tenant in ("", "acme"):
        try:
            bearer = bearers.find(text, tenant)
        except AuthenticationFailed:
            continue
        check(text, bearer, tenant)


def check(text: str, bearer: Bearer, tenant: str) -> None:
    """What was let in is right."""
    signed, _, signature_text = text.rpartition(".")
    assert len(text) <= MAX_BYTES
    header, claims = (json.loads(base64.urlsafe_b64decode(f"{part}===")) for part in signed.split("."))
    verify(header["alg"], header["kid"], signed.encode(), base64.urlsafe_b64decode(f"{signature_text}==="))
    assert header["typ"].lower().removeprefix("application/") == "at+jwt"
    assert not header.keys() & {"crit", "b64"}
    assert claims["iss"] == ISSUER.base
    assert claims["aud"] == AUDIENCE or (isinstance(claims["aud"], list) and AUDIENCE in claims["aud"])
    assert {type(claims[name]) for name in ("exp", "iat")} <= {int, float}
    assert claims["exp"] > NOW >= claims["iat"] - 60
    assert bearer.principal.name == claims["sub"]
    assert bearer.principal.tenant in claims["tenants"]
    assert bearer.principal.role.value in claims["roles"]
    assert tenant in ("", bearer.principal.tenant)
    assert bearer.expires_at == claims["exp"]


def verify(algorithm: str, key_id: str, signed: bytes, raw: bytes) -> None:
    """By the provider's key, without the library. Raises InvalidSignature."""
    if algorithm == "RS256":
        assert key_id == "rsa"
        rsa().public_key.verify(raw, signed, PKCS1v15(), SHA256())
    else:
        assert (algorithm, key_id, len(raw)) == ("ES256", "ec", 64)
        der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        p256().public_key.verify(der, signed, ECDSA(SHA256()))


def sign(header: bytes, claims: bytes) -> str:
    """A token of any bytes, well signed."""
    signed = f"{b64(header)}.{b64(claims)}"
    return f"{signed}.{b64(signature('ES256', p256(), signed.encode()))}"


def look_at_keys(raw: bytes) -> None:
    """Takes keys out of a document; those that there are verify, or do not."""
    try:
        document = decode_object(raw, max_depth=16)
    except ValueError:
        return
    for found in pinned_keys(document).values():
        assert not found.has_signed(FOREIGN)


def one(data: bytes) -> None:
    """What is done with one input."""
    kind, rest = data[:1], data[1:]
    if kind == TOKEN:
        judge(rest.decode("latin-1"))  # as WSGI hands on a header
    elif kind == SIGNED:
        header, _, claims = rest.partition(PARTED)
        judge(sign(header, claims))
    elif kind == KEYS:
        look_at_keys(rest)


def seeds() -> list[bytes]:
    """All attacks, also as what is to be signed, and what is published."""
    tokens = [ISSUER.token(), ISSUER.token(algorithm="ES256")]
    tokens += [attack(ISSUER) for attack in (*ATTACKS.values(), *UNENTITLED.values())]
    made = [TOKEN + token.encode("latin-1") for token in tokens if len(token) <= MAX_BYTES + 1]
    for token in tokens:
        header, _, claims = token.partition(".")
        made.append(SIGNED + _loose(header) + PARTED + _loose(claims.partition(".")[0]))
    good: dict[str, Any] = {"alg": "ES256", "typ": "at+jwt", "kid": "ec"}
    made.append(SIGNED + json_bytes(good) + PARTED + json_bytes(ISSUER.claims()))
    return [*made, KEYS + json_bytes({"keys": ISSUER.keys}), *(KEYS + json_bytes({"keys": [k]}) for k in ISSUER.keys)]


def _loose(segment: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(f"{segment}===")
    except ValueError:
        return segment.encode("latin-1")


def main(arguments: list[str]) -> None:
    """Fuzzes; the arguments are libFuzzer's, the first of them the folder for what it learns."""
    for number, seed in enumerate(seeds()):
        Path(arguments[1], f"seed-{number:03}").write_bytes(seed)
    atheris.Setup([*arguments, f"-max_len={MAX_BYTES + 2}"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
