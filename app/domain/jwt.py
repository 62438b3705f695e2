"""Access tokens of an identity provider: JWTs in compact form (RFC 7519, RFC 9068), taken apart and judged.

Only the signature is judged elsewhere (``app/services/oidc``). What a library would leave open is closed here, before
it sees the token: its size, its alphabet, its encoding, members told twice, and the type of everything that counts.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.errors import AuthenticationFailed
from app.domain.roles import Role
from app.domain.strict_json import decode_object

MAX_BYTES = 8192
MAX_DEPTH = 16
ALGORITHMS = ("RS256", "ES256")

_SKEW_SECONDS = 60  # that the provider's clock may be ahead of ours; nothing is lent to a token at its end
_LAST_SECOND = 253_402_300_799  # the year 9999: nobody means a later one
_MAX_KEY_ID = 256
_MAX_SUBJECT = 255  # OpenID Connect Core §2


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must be for us to take it, and where it says who may do what."""

    issuer: str
    audience: str
    types: frozenset[str]  # of the header's `typ`, in lower case, without "application/"; "none": it has none
    tenants_claim: str
    roles_claim: str
    roles: Mapping[str, Role]  # by the claim's values


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What a token says. It is true only if the key of that id has signed it, by that algorithm."""

    key_id: str
    algorithm: str
    subject: str
    expires_at: float  # seconds since 1970
    tenants: frozenset[str]
    role: Role | None  # the highest of its roles; None: none of them means anything here


def parse(text: str, rules: TokenRules, now: float) -> AccessToken:
    """The token that the text spells, by all but its signature fit for use ``now`` (seconds since 1970).

    Raises AuthenticationFailed for anything else.
    """
    parts = text.split(".") if len(text) <= MAX_BYTES else []
    if len(parts) != 3:
        raise AuthenticationFailed
    try:
        header, claims = _json(parts[0]), _json(parts[1])
        _require(base64url(parts[2]) != b"")
        _check_header(header, rules)
        _check_claims(claims, rules, now)
        return AccessToken(
            key_id=header["kid"],
            algorithm=header["alg"],
            subject=claims["sub"],
            expires_at=claims["exp"],
            tenants=frozenset(_texts(_claim(claims, rules.tenants_claim))),
            role=_role(_texts(_claim(claims, rules.roles_claim)), rules),
        )
    except ValueError:
        raise AuthenticationFailed from None


def base64url(segment: str) -> bytes:
    """The bytes that the text without padding spells (RFC 7515 §2), if in the one way; raises ValueError."""
    raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != segment:
        raise ValueError("not the one spelling: it has other characters, or bits that nobody reads")
    return raw


def _json(segment: str) -> dict[str, Any]:
    return decode_object(base64url(segment), max_depth=MAX_DEPTH)


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


def _check_header(header: Mapping[str, Any], rules: TokenRules) -> None:
    """`jku`, `jwk`, `x5u` and `x5c` are ignored: whoever makes a token does not say by which key it is judged."""
    _require(header.get("alg") in ALGORITHMS)
    key_id = header.get("kid")
    _require(isinstance(key_id, str) and 0 < len(key_id) <= _MAX_KEY_ID)
    kind = header.get("typ", "none")
    _require(isinstance(kind, str) and kind.lower().removeprefix("application/") in rules.types)
    _require(not header.keys() & {"crit", "b64"})  # extensions that must be understood (RFC 7515 §4.1.11, RFC 7797)


def _check_claims(claims: Mapping[str, Any], rules: TokenRules, now: float) -> None:
    _require(claims.get("iss") == rules.issuer)
    audience = claims.get("aud")
    _require(rules.audience in ([audience] if isinstance(audience, str) else _list(audience)))
    _require(now < _date(claims, "exp"))
    _require(_date(claims, "iat") <= now + _SKEW_SECONDS)
    _require("nbf" not in claims or _date(claims, "nbf") <= now + _SKEW_SECONDS)
    subject = claims.get("sub")
    _require(isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT and subject.isprintable())


def _date(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LAST_SECOND:
        raise ValueError("not a NumericDate (RFC 7519 §2)")
    return value


def _list(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("not a list of texts")
    return value


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A dot steps into an object, as in `realm_access.roles`, unless the claim is named by a URL."""
    value: Any = claims
    for step in [name] if "/" in name else name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _texts(value: Any) -> list[str]:
    """A list of texts, or one text of several that are parted by spaces or commas; none where the claim is absent."""
    if value is None:
        return []
    texts = re.split(r"[\s,]+", value) if isinstance(value, str) else _list(value)
    return [text for text in texts if text]


def _role(values: list[str], rules: TokenRules) -> Role | None:
    found = {rules.roles.get(value) for value in values}
    return next((role for role in reversed(Role) if role in found), None)
