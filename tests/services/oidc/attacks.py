"""Tokens that nobody may be let in with: each is right in all but the one thing that it is named for.

Most are well signed by the provider's own key, so that nothing but the check which is meant stands in their way.
"""

import hmac
import json
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from app.domain.jwt import MAX_BYTES, MAX_DEPTH
from tests.services.oidc.issuer import Issuer, b64, json_bytes, p256, public, rsa, signature

Attack = Callable[[Issuer], str]

ELSEWHERE = "http://127.0.0.1:9/"  # where nobody may be asked

OTHER, OTHER_EC, WEAK = partial(rsa, "other"), partial(p256, "other"), partial(rsa, "weak", 1024)


@cache
def p384() -> ECKey:
    return ECKey.generate_key("P-384", {"kid": "p384"})


@cache
def secret() -> OctKey:
    return OctKey.generate_key(256, {"kid": "oct"})


def publish(issuer: Issuer) -> None:
    """Has the provider publish keys, beside its good ones, with which nobody may be let in."""
    issuer.keys += [
        public(WEAK()),
        public(p384()),
        secret().as_dict(private=True),
        public(rsa("encrypts"), use="enc"),
        public(rsa("wraps"), key_ops=["wrapKey"]),
        public(rsa("pss"), alg="PS256"),
        rsa("private").as_dict(private=True),
        public(rsa("twice")),
        public(rsa("twice again"), kid="twice"),
        public(rsa("nameless"), kid=None),
        public(rsa("numbered"), kid=7),
        {"kty": "RSA", "kid": "hollow"},
        {"kty": "EC", "kid": "off the curve", "crv": "P-256", "x": b64(b"\1" * 32), "y": b64(b"\1" * 32)},
    ]


def parts(token: str) -> list[str]:
    return token.split(".")


def header(**changed: Any) -> Attack:
    """Well signed, with members of the header changed."""
    return lambda issuer: issuer.token(changed)


def claims(algorithm: str = "RS256", **changed: Any) -> Attack:
    """Well signed, with claims changed; None takes one out."""
    return lambda issuer: issuer.token(claims=issuer.claims(**changed), algorithm=algorithm)


def without(name: str) -> Attack:
    """Well signed, but for a claim that is missing."""
    return lambda issuer: issuer.token(claims={key: value for key, value in issuer.claims().items() if key != name})


def null(name: str) -> Attack:
    """Well signed, with a claim that is null."""
    return lambda issuer: issuer.token(claims=issuer.claims() | {name: None})


def raw_header(change: Callable[[bytes], bytes]) -> Attack:
    """Well signed, with other bytes for a header."""
    good = json_bytes({"alg": "RS256", "typ": "at+jwt", "kid": "rsa"})
    return lambda issuer: issuer.token(change(good))


def raw_claims(change: Callable[[bytes], bytes]) -> Attack:
    """Well signed, with other bytes for claims."""
    return lambda issuer: issuer.token(claims=change(json_bytes(issuer.claims())))


def adding(member: str) -> Callable[[bytes], bytes]:
    """Puts one more member, as it stands, at the end of an object."""
    return lambda raw: raw[:-1] + b", " + member.encode() + b"}"


def signed_with(key: Callable[[], Key], algorithm: str, /, **changed: Any) -> Attack:
    """Signed by somebody else, or in another way, and with members of the header changed."""
    return lambda issuer: issuer.token(changed, key=key(), algorithm=algorithm)


def secretly(known: Callable[[RSAKey], bytes]) -> Attack:
    """The public key taken for a shared secret (RFC 8725 §2.1)."""

    def attack(issuer: Issuer) -> str:
        head = b64(b'{"alg":"HS256","typ":"at+jwt","kid":"rsa"}')
        signed = f"{head}.{parts(issuer.token())[1]}"
        return f"{signed}.{b64(hmac.digest(known(rsa()), signed.encode(), 'sha256'))}"

    return attack


def resigned(change: Callable[[bytes], bytes | str], algorithm: str = "RS256") -> Attack:
    """A good token whose signature is changed: bytes into bytes, or into the text that is sent."""

    def attack(issuer: Issuer) -> str:
        head, body, _ = parts(issuer.token(algorithm=algorithm))
        key = p256() if algorithm == "ES256" else rsa()
        changed = change(signature(algorithm, key, f"{head}.{body}".encode()))
        return f"{head}.{body}.{changed if isinstance(changed, str) else b64(changed)}"

    return attack


def respelled(place: int, change: Callable[[str], str]) -> Attack:
    """A part of a good token in another spelling, and all of it signed as it is sent."""

    def attack(issuer: Issuer) -> str:
        spelled = parts(issuer.token())[:2]
        spelled[place] = change(spelled[place])
        signed = ".".join(spelled)
        return f"{signed}.{b64(signature('RS256', rsa(), signed.encode()))}"

    return attack


def sent(change: Callable[[str], str]) -> Attack:
    """A good token that is changed on its way."""
    return lambda issuer: change(issuer.token())


def loose_bits(segment: str) -> str:
    """Another spelling of the same bytes: bits of the last character that nobody reads are set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4, "no such bits"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) | 1]


def plain_alphabet(issuer: Issuer) -> str:
    """Claims that hold both characters in which the two alphabets differ, spelt in the wrong one."""
    head, body, _ = parts(issuer.token(claims=issuer.claims(x="?" * 8, y="~>" * 8)))
    assert {"_", "-"} <= set(body)
    signed = f"{head}.{body.replace('-', '+').replace('_', '/')}"
    return f"{signed}.{b64(signature('RS256', rsa(), signed.encode()))}"


def raw_dss(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def in_json(token: str) -> str:
    protected, payload, signed = parts(token)
    return json.dumps({"payload": payload, "protected": protected, "signature": signed})


def longest(issuer: Issuer) -> str:
    """A token of the fewest bytes that are more than one may have."""
    for padding in range(5000, MAX_BYTES):
        if len(token := issuer.token(claims=issuer.claims(padding="x" * padding), algorithm="ES256")) > MAX_BYTES:
            return token
    raise AssertionError


def pem(key: RSAKey) -> bytes:
    return key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


_CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_NOW = int(time.time())

FORGERIES: dict[str, Attack] = {
    # which algorithm
    "PS256 said to be RS256": signed_with(rsa, "PS256", alg="RS256"),
    "RS512 said to be RS256": signed_with(rsa, "RS512", alg="RS256"),
    "ES256 by the name of the RSA key": signed_with(p256, "ES256", kid="rsa"),
    "RS256 by the name of the EC key": signed_with(rsa, "RS256", kid="ec"),
    "RS256 by the RSA key, said to be ES256": signed_with(rsa, "RS256", alg="ES256"),
    "ES256 by the EC key, said to be RS256": signed_with(p256, "ES256", alg="RS256"),
    "ES384 said to be ES256": signed_with(p384, "ES384", alg="ES256"),
    # whose key
    "another RSA key": signed_with(OTHER, "RS256", kid="rsa"),
    "another EC key": signed_with(OTHER_EC, "ES256", kid="ec"),
    "the right key by a name that nobody knows": header(kid="who"),
    "the right key by its name in capitals": header(kid="RSA"),
    "the right key by its name and a space": header(kid="rsa "),
    "an unknown key": signed_with(OTHER, "RS256"),
    "an unknown EC key": signed_with(OTHER_EC, "ES256"),
    "an embedded key": lambda issuer: issuer.token({"kid": "other", "jwk": public(OTHER())}, key=OTHER()),
    "an embedded key by the name of a good one": lambda issuer: issuer.token(
        {"kid": "rsa", "jwk": public(OTHER())}, key=OTHER()
    ),
    "a key to be fetched (jku)": signed_with(OTHER, "RS256", jku=f"{ELSEWHERE}jwks"),
    "a key to be fetched (jku) by the name of a good one": signed_with(
        OTHER, "RS256", kid="rsa", jku=f"{ELSEWHERE}jwks"
    ),
    "a certificate to be fetched (x5u)": signed_with(OTHER, "RS256", kid="rsa", x5u=f"{ELSEWHERE}cert"),
    "a certificate of its own (x5c)": signed_with(OTHER, "RS256", kid="rsa", x5c=["MIIB"]),
    "a key id that is a path": signed_with(OTHER, "RS256", kid="../../../dev/null"),
    "a key id that is SQL": signed_with(OTHER, "RS256", kid="rsa' OR '1'='1"),
    "a key id that is a URL": signed_with(OTHER, "RS256", kid=f"{ELSEWHERE}jwks"),
    "an RSA key of 1024 bits": signed_with(WEAK, "RS256"),
    "a key for encryption": signed_with(partial(rsa, "encrypts"), "RS256"),
    "a key for wrapping keys": signed_with(partial(rsa, "wraps"), "RS256"),
    "a key for PS256": signed_with(partial(rsa, "pss"), "RS256"),
    "a key whose private half is published": signed_with(partial(rsa, "private"), "RS256"),
    "one of two keys of the same id": signed_with(partial(rsa, "twice"), "RS256"),
    "the other of two keys of the same id": signed_with(partial(rsa, "twice again"), "RS256", kid="twice"),
    "a key without numbers": signed_with(OTHER, "RS256", kid="hollow"),
    "a key that is off the curve": signed_with(OTHER_EC, "ES256", kid="off the curve"),
    # the signature
    "a signature of zeros": resigned(lambda raw: bytes(len(raw))),
    "a signature with one bit changed": resigned(lambda raw: bytes([raw[0] ^ 1]) + raw[1:]),
    "a signature that is cut": resigned(lambda raw: raw[:-1]),
    "a signature with something behind it": resigned(lambda raw: raw + b"\0"),
    "an EC signature of zeros": resigned(lambda _: bytes(64), "ES256"),
    "an EC signature of the curve's order": resigned(lambda _: _CURVE_ORDER.to_bytes(32) * 2, "ES256"),
    "an EC signature in DER": resigned(raw_dss, "ES256"),
    "an EC signature with its halves swapped": resigned(lambda raw: raw[32:] + raw[:32], "ES256"),
    "an EC signature with something behind it": resigned(lambda raw: raw + b"\0", "ES256"),
    "an EC signature that is cut": resigned(lambda raw: raw[:-1], "ES256"),
    "other claims under a good signature": lambda issuer: ".".join(
        [parts(issuer.token())[0], b64(json_bytes(issuer.claims(sub="root"))), parts(issuer.token())[2]]
    ),
    "another header under a good signature": lambda issuer: ".".join(
        [b64(b'{"alg":"RS256","typ":"at+jwt","kid":"rsa","x":1}'), *parts(issuer.token())[1:]]
    ),
}
"""Not signed by the provider, or not with a key or an algorithm that is good enough."""

MALFORMED: dict[str, Attack] = {
    # the form
    "dots": lambda _: "..",
    "one part": sent(lambda token: parts(token)[1]),
    "two parts": sent(lambda token: ".".join(parts(token)[:2])),
    "four parts": sent(lambda token: f"{token}.{parts(token)[2]}"),
    "five parts, as if it were encrypted": sent(lambda token: f"{token}.AA.AA"),
    "a dot behind it": sent(lambda token: f"{token}."),
    "in JSON": sent(in_json),
    "twice": sent(lambda token: f"{token} {token}"),
    "twice, with a comma": sent(lambda token: f"{token},{token}"),
    "the scheme twice": sent(lambda token: f"Bearer {token}"),
    "in quotation marks": sent(lambda token: f'"{token}"'),
    "percent-encoded dots": sent(lambda token: token.replace(".", "%2E")),
    "a letter that is no ASCII": sent(lambda token: f"{token}ü"),
    "one byte too long": longest,
    "far too long": lambda issuer: issuer.token(claims=issuer.claims(padding="x" * 200_000)),
    "padded": sent(lambda token: f"{token}=="),
    "no signature": resigned(lambda _: b""),
    "a padded header": respelled(0, lambda segment: segment + "=" * (-len(segment) % 4 or 4)),
    "padded claims": respelled(1, lambda segment: segment + "=" * (-len(segment) % 4 or 4)),
    "a header with a space": respelled(0, lambda segment: f"{segment[:8]} {segment[8:]}"),
    "claims with a newline": respelled(1, lambda segment: f"{segment[:8]}\n{segment[8:]}"),
    "claims with a character that is skipped": respelled(1, lambda segment: f"{segment[:8]}!{segment[8:]}"),
    "the alphabet of plain base64": plain_alphabet,
    "a signature with loose bits": resigned(lambda raw: loose_bits(b64(raw))),
    "an EC signature with loose bits": resigned(lambda raw: loose_bits(b64(raw)), "ES256"),
    "a header with loose bits": respelled(0, lambda _: loose_bits(b64(b'{"alg":"RS256","typ":"at+jwt","kid":"rsa"} '))),
    # which algorithm
    "none": header(alg="none"),
    "none, unsigned": sent(
        lambda token: ".".join([b64(b'{"alg":"none","typ":"at+jwt","kid":"rsa"}'), parts(token)[1], ""])
    ),
    "None": header(alg="None"),
    "nOnE": header(alg="nOnE"),
    "no algorithm": header(alg=None),
    "a list of algorithms": header(alg=["RS256"]),
    "an algorithm in lower case": header(alg="rs256"),
    "an algorithm that is a number": header(alg=256),
    "HS256 by the public key in PEM": secretly(pem),
    "HS256 by the public key in PEM without its last newline": secretly(lambda key: pem(key).strip()),
    "HS256 by the public key in DER": secretly(
        lambda key: key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ),
    "HS256 by the public key as a JWK": secretly(lambda key: json_bytes(public(key))),
    "HS256 by the key's modulus": secretly(lambda key: public(key)["n"].encode()),
    "HS256 by a published secret": signed_with(secret, "HS256"),
    "RS384": signed_with(rsa, "RS384"),
    "RS512": signed_with(rsa, "RS512"),
    "PS256": signed_with(rsa, "PS256"),
    "ES384": signed_with(p384, "ES384"),
    # the header
    "an empty key id": signed_with(partial(rsa, "nameless"), "RS256", kid=""),
    "a key id that is a number": signed_with(partial(rsa, "numbered"), "RS256", kid=7),
    "a key id that is a list": header(kid=["rsa"]),
    "a key id that is an object": header(kid={"rsa": 1}),
    "a key id that is null": raw_header(lambda raw: raw.replace(b'"rsa"', b"null")),
    "a very long key id": signed_with(OTHER, "RS256", kid="k" * 3000),
    "no key named": header(kid=None),
    "a header that is a list": raw_header(lambda raw: b"[" + raw + b"]"),
    "a header that is a text": raw_header(lambda _: b'"RS256"'),
    "a header that is null": raw_header(lambda _: b"null"),
    "a header that is no JSON": raw_header(lambda raw: raw[:-1]),
    "a header with something behind it": raw_header(lambda raw: raw + b"{}"),
    "a header with an algorithm twice": raw_header(adding('"alg": "RS256"')),
    "a header with a key id twice": raw_header(adding('"kid": "rsa"')),
    "a header with a member twice that is spelt otherwise": raw_header(adding('"\\u0061lg": "RS256"')),
    "a header that is no UTF-8": raw_header(lambda raw: raw[:-1] + b', "x": "\xff"}'),
    "a header in UTF-16": raw_header(lambda raw: raw.decode().encode("utf-16")),
    "a header with a byte order mark": raw_header(lambda raw: b"\xef\xbb\xbf" + raw),
    "an extension that must be understood": header(crit=["exp"], exp=1),
    "an extension that must be understood, unknown": header(crit=["x"], x=1),
    "an empty list of extensions": header(crit=[]),
    "extensions that are null": raw_header(adding('"crit": null')),
    "an unencoded payload (b64)": header(crit=["b64"], b64=False),
    "b64 that is not critical": header(b64=True),
    "type JWT": header(typ="JWT"),
    "no type": header(typ=None),
    "an ID token's type": header(typ="id+jwt"),
    "a type with something behind it": header(typ="at+jwt;x"),
    "a type that is a list": header(typ=["at+jwt"]),
    "a type that is null": raw_header(lambda raw: raw.replace(b'"at+jwt"', b"null")),
    "the media type of something else": header(typ="text/at+jwt"),
    # the claims as JSON
    "claims that are a list": raw_claims(lambda raw: b"[" + raw + b"]"),
    "claims that are null": raw_claims(lambda _: b"null"),
    "claims that are a token": lambda issuer: issuer.token(claims=issuer.token().encode()),
    "claims that are no JSON": raw_claims(lambda raw: raw[:-1]),
    "claims with something behind them": raw_claims(lambda raw: raw + b"x"),
    "a subject twice": raw_claims(adding('"sub": "root"')),
    "tenants twice": raw_claims(adding('"tenants": ["acme"]')),
    "an end twice": raw_claims(adding('"exp": 9999999999')),
    "a member twice further in": raw_claims(adding('"x": [{"y": 1, "y": 1}]')),
    "claims that are no UTF-8": raw_claims(lambda raw: raw[:-1] + b', "x": "\xc0\xaf"}'),
    "claims with a surrogate in UTF-8": raw_claims(lambda raw: raw[:-1] + b', "x": "\xed\xa0\x80"}'),
    "claims with a lone surrogate": raw_claims(adding('"x": "\\ud800"')),
    "a name with a lone surrogate": raw_claims(adding('"\\udfff": 1')),
    "claims with a NUL": raw_claims(adding('"x": "\\u0000"')),
    "claims with a byte order mark": raw_claims(lambda raw: b"\xef\xbb\xbf" + raw),
    "claims in UTF-32": raw_claims(lambda raw: raw.decode().encode("utf-32")),
    "claims with NaN": raw_claims(adding('"x": NaN')),
    "claims with Infinity": raw_claims(adding('"x": -Infinity')),
    "claims with a number too large": raw_claims(adding('"x": 1e999')),
    "claims with a number of 5000 digits": raw_claims(adding(f'"x": {"1" * 5000}')),
    "claims nested too deep": raw_claims(adding(f'"x": {"[" * MAX_DEPTH + "]" * MAX_DEPTH}')),
    "claims nested so deep that it hurts": raw_claims(adding(f'"x": {"[" * 2500}')),
    "objects nested so deep that it hurts": raw_claims(adding('"x": ' + '{"x":' * 900 + "1" + "}" * 900)),
    # what the claims say
    **{f"no {name}": without(name) for name in ("iss", "aud", "exp", "iat", "sub")},
    **{f"{name} that is null": null(name) for name in ("iss", "aud", "exp", "iat", "nbf", "sub")},
    "another issuer": claims(iss="https://elsewhere.example.com"),
    "an issuer with a slash more": lambda issuer: issuer.token(claims=issuer.claims(iss=issuer.base + "/")),
    "an issuer in capitals": lambda issuer: issuer.token(claims=issuer.claims(iss=issuer.base.upper())),
    "a list of issuers": lambda issuer: issuer.token(claims=issuer.claims(iss=[issuer.base])),
    "another audience": claims(aud="other"),
    "an audience in capitals": claims(aud="TIDEMARK"),
    "an audience that has ours in it": claims(aud="tidemark other"),
    "a list of other audiences": claims(aud=["other", "tidemark2"]),
    "an empty list of audiences": claims(aud=[]),
    "audiences that are an object": claims(aud={"tidemark": 1}),
    "audiences of which one is no text": claims(aud=["tidemark", 1]),
    "expired": claims(exp=_NOW - 1),
    "expired an hour ago": claims(exp=_NOW - 3600),
    "expired at the beginning": claims(exp=0),
    "an end that is a text": claims(exp=str(_NOW + 300)),
    "an end that is true": claims(exp=True),
    "an end that is a list": claims(exp=[_NOW + 300]),
    "an end that is negative": claims(exp=-1),
    "an end beyond all time": claims(exp=10**12),
    "an end beyond all numbers": claims(exp=10**400),
    "an end that is a date": claims(exp="2099-01-01T00:00:00Z"),
    "issued in the future": claims(iat=_NOW + 3600),
    "an issue that is a text": claims(iat=str(_NOW)),
    "an issue that is true": claims(iat=True),
    "an issue that is negative": claims(iat=-1),
    "not yet valid": claims(nbf=_NOW + 3600),
    "a beginning that is a text": claims(nbf=str(_NOW)),
    "a beginning that is false": claims(nbf=False),
    "an empty subject": claims(sub=""),
    "a subject that is a number": claims(sub=7),
    "a subject that is a list": claims(sub=["ada"]),
    "a subject of 256 characters": claims(sub="a" * 256),
    "a subject with a newline": claims(sub="ada\nERROR root logged in"),
    "a subject with an escape sequence": claims(sub="\x1b[2Jada"),
    "tenants that are a number": claims(tenants=7),
    "tenants that are an object": claims(tenants={"acme": True}),
    "tenants of which one is no text": claims(tenants=["acme", 7]),
    "tenants that are true": claims(tenants=True),
    "roles that are a number": claims(roles=7),
    "roles that are an object": claims(roles={"admin": True}),
    "roles of which one is a list": claims(roles=["admin", ["admin"]]),
    "roles that are true": claims(roles=True),
}
"""Wrong in what they say, or in how they spell it: no key need be asked for to see that."""

ATTACKS = FORGERIES | MALFORMED
"""By what is wrong with them: all get the one answer that any nonsense gets."""

UNENTITLED: dict[str, Attack] = {
    "no roles": claims(roles=None),
    "an empty list of roles": claims(roles=[]),
    "only roles that mean nothing here": claims(roles=["Admin", "owner", "admin2", "*", "admin "]),
    "no tenants": claims(tenants=None),
    "an empty list of tenants": claims(tenants=[]),
    "an empty text of tenants": claims(tenants=" ,"),
    "a tenant that is unknown": claims(tenants=["nowhere"]),
    "a tenant that is in capitals": claims(tenants=["ACME"]),
    "every tenant": claims(tenants=["*"]),
    "two tenants of which none is chosen": claims(tenants=["acme", "default"]),
}
"""Tokens that are as they should be, but give their bearers nothing here."""
