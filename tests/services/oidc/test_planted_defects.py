"""Each check that a token passes is taken out, one at a time: some token of the attack table must then get in.

So none of the checks is idle, and the table is able to fail.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.domain import jwt
from app.domain.errors import AuthenticationFailed
from app.domain.jwt import TokenRules
from app.domain.names import tenant_id
from app.domain.roles import Role
from app.services.oidc import bearers, jwks
from tests.services.oidc.attacks import ATTACKS, MALFORMED, UNENTITLED, publish
from tests.services.oidc.issuer import AUDIENCE, Issuer

ISSUER = Issuer("https://id.example.com")
THERE = ("acme", "default")  # the tenants that there are
RULES = TokenRules(
    issuer=ISSUER.base,
    audience=AUDIENCE,
    types=frozenset({"at+jwt"}),
    tenants_claim="tenants",
    roles_claim="roles",
    roles={role.value: role for role in Role},
)


@dataclass
class Judges:
    """The modules that judge a token, of which one may have a defect."""

    jwt: ModuleType = jwt
    jwks: ModuleType = jwks
    bearers: ModuleType = bearers

    def let_in(self, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """Which of the tokens are not refused as they should be."""
        monkeypatch.setattr(self.bearers, "parse", self.jwt.parse)
        pinned = self.jwks.pinned_keys({"keys": ISSUER.keys})

        def key(key_id: str) -> Any:
            if key_id not in pinned:
                raise AuthenticationFailed
            return pinned[key_id]

        found = self.bearers.Bearers(RULES, key, lambda name: tenant_id(name) if name in THERE else None)
        for name, token in tokens.items():
            if not refuses(found.find, token, "") or (
                name in MALFORMED and not refuses(self.jwt.parse, token, RULES, time.time())
            ):
                yield name


def refuses(judge: Any, *arguments: Any) -> bool:
    """Whether it does, in the one way; any other exception would be answered with 500."""
    try:
        judge(*arguments)
    except AuthenticationFailed:
        return True
    except Exception:
        return False
    return False


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    if len(ISSUER.keys) == 2:
        publish(ISSUER)
    return {name: attack(ISSUER) for name, attack in (ATTACKS | UNENTITLED).items()}


def defective(module: ModuleType, old: str, new: str) -> ModuleType:
    """The module, with one piece of its source replaced."""
    source = Path(str(module.__file__)).read_text()
    assert source.count(old) == 1, f"{source.count(old)} times: {old}"
    made = ModuleType(module.__name__)
    exec(compile(source.replace(old, new), f"defective {module.__name__}", "exec"), made.__dict__)
    return made


DEFECTS: dict[str, tuple[str, str, str]] = {
    # the form
    "any size": ("jwt", "if len(text) <= MAX_BYTES else []", ""),
    "any spelling": ("jwt", '.rstrip("=") != segment:', ".isdigit():"),
    "any spelling of the signature": ("jwt", '    _require(base64url(parts[2]) != b"")\n', "    pass\n"),
    "an empty signature": ("jwt", '_require(base64url(parts[2]) != b"")', "base64url(parts[2])"),
    "more parts": ("jwt", "if len(parts) != 3:", "if len(parts) < 3:"),
    "JSON of any kind": (
        "jwt",
        "decode_object(base64url(segment), max_depth=MAX_DEPTH)",
        "__import__('json').loads(base64url(segment))",
    ),
    "any depth": ("jwt", "max_depth=MAX_DEPTH", "max_depth=10_000"),
    # the header
    "any algorithm": ("jwt", '_require(header.get("alg") in ALGORITHMS)', 'header["alg"] = header.get("alg")'),
    "key ids of any type": ("jwt", "isinstance(key_id, str) and 0 < len(key_id) <= _MAX_KEY_ID", "key_id is not None"),
    "no key id": (
        "jwt",
        "_require(isinstance(key_id, str) and",
        'header["kid"] = key_id = key_id or "rsa"\n    _require(',
    ),
    "empty key ids": ("jwt", "0 < len(key_id) <= _MAX_KEY_ID", "len(key_id) <= _MAX_KEY_ID"),
    "long key ids": ("jwt", "0 < len(key_id) <= _MAX_KEY_ID", "0 < len(key_id)"),
    "any type": ("jwt", 'removeprefix("application/") in rules.types', "isprintable()"),
    "no type": ("jwt", 'header.get("typ", "none")', 'header.get("typ", "at+jwt")'),
    "types of any type": (
        "jwt",
        "_require(isinstance(kind, str) and kind.lower()",
        '_require(kind is None or str(kind).strip("[\']")',
    ),
    "any media type": ("jwt", 'kind.lower().removeprefix("application/")', 'kind.lower().rpartition("/")[2]'),
    "extensions": ("jwt", '{"crit", "b64"}', '{"b64"}'),
    "unencoded payloads": ("jwt", '{"crit", "b64"}', '{"crit"}'),
    # the claims
    "any issuer": ("jwt", '    _require(claims.get("iss") == rules.issuer)\n', ""),
    "issuers that begin alike": (
        "jwt",
        'claims.get("iss") == rules.issuer',
        'str(claims.get("iss")).startswith(rules.issuer)',
    ),
    "issuers in any case": (
        "jwt",
        'claims.get("iss") == rules.issuer',
        'str(claims.get("iss")).lower() == rules.issuer',
    ),
    "any audience": ("jwt", "_require(rules.audience in (", "_require(rules is not ("),
    "parts of an audience": ("jwt", "[audience] if isinstance(audience, str)", "audience if isinstance(audience, str)"),
    "audiences in an object": (
        "jwt",
        "isinstance(audience, str) else _list(audience)",
        "isinstance(audience, str) else audience or []",
    ),
    "expired": ("jwt", '_require(now < _date(claims, "exp"))', '_date(claims, "exp")'),
    "expired a moment ago": (
        "jwt",
        '_require(now < _date(claims, "exp"))',
        '_require(now < _date(claims, "exp") + 3600)',
    ),
    "no end": ("jwt", '_require(now < _date(claims, "exp"))', '_require(now < claims.setdefault("exp", now + 1))'),
    "from the future": ("jwt", '_require(_date(claims, "iat") <= now + _SKEW_SECONDS)', '_date(claims, "iat")'),
    "no issue": ("jwt", '_require(_date(claims, "iat")', '_require("iat" not in claims or _date(claims, "iat")'),
    "not yet valid": (
        "jwt",
        'claims or _date(claims, "nbf") <= now + _SKEW_SECONDS',
        'claims or _date(claims, "nbf") >= 0',
    ),
    "any beginning": ("jwt", '    _require("nbf" not in claims or _date(claims, "nbf") <= now + _SKEW_SECONDS)\n', ""),
    "subjects of any type": (
        "jwt",
        "isinstance(subject, str) and 0 < len(subject)",
        'str(subject or "").isprintable() and str(subject or "")',
    ),
    "empty subjects": ("jwt", "0 < len(subject) <=", "len(subject) <="),
    "long subjects": ("jwt", "0 < len(subject) <= _MAX_SUBJECT", "0 < len(subject)"),
    "subjects that cannot be printed": ("jwt", " and subject.isprintable()", ""),
    "dates of any type": (
        "jwt",
        "not isinstance(value, int | float) or isinstance(value, bool)",
        "(value := int(value or -1)) is None",
    ),
    "dates that are true": ("jwt", " or isinstance(value, bool)", ""),
    "dates beyond all time": ("jwt", "0 <= value <= _LAST_SECOND", "0 <= value"),
    "negative dates": ("jwt", "0 <= value <= _LAST_SECOND", "value <= _LAST_SECOND"),
    "lists of any kind": ("jwt", "not isinstance(value, list) or not all", "not all"),
    "lists of anything": ("jwt", " or not all(isinstance(each, str) for each in value)", ""),
    # the key
    "keys for encryption": ("jwks", 'entry.get("use", "sig") == "sig" and ', ""),
    "keys for other operations": ("jwks", ' and "verify" in operations', ""),
    "keys for other algorithms": ("jwks", ' or entry.get("alg", algorithm) != algorithm', ""),
    "keys that are no secret any more": ("jwks", " and not is_private", ""),
    "short keys": ("jwks", "not _LEAST_RSA_BITS <= _bits(modulus) <= _MOST_RSA_BITS or ", ""),
    "keys of the same id": ("jwks", " and times[key_id] == 1", ""),
    # the signature
    "no signature": ("bearers", " or not key.has_signed(text)", ""),
    "signatures that are wrong": (
        "jwks",
        "            return False\n        return True",
        "            return True\n        return True",
    ),
    "algorithms of the token's choice": ("bearers", "key.algorithm != token.algorithm or ", ""),
    # what it gives
    "no role": ("bearers", "if token.role is None:", "if False:"),
    "tenants that are not there": ("bearers", "if found is None:", "if False:"),
    "the first of several tenants": (
        "bearers",
        "if not tenant and len(token.tenants) == 1:",
        "if not tenant and token.tenants:",
    ),
}
"""What would be let in, and how: in which module, what, by what."""

REDUNDANT = {"algorithms of the token's choice"}
"""What the library refuses, too. Both stay: it is the one mistake that has been made with tokens again and again."""


def test_without_a_defect_none_gets_in(tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(Judges().let_in(tokens, monkeypatch)) == []


@pytest.mark.filterwarnings("ignore:Key size")  # of the library, which takes it all the same
@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_lets_some_token_in(name: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    where, old, new = DEFECTS[name]
    judges = Judges(**{where: defective({"jwt": jwt, "jwks": jwks, "bearers": bearers}[where], old, new)})
    assert (next(judges.let_in(tokens, monkeypatch), None) is None) == (name in REDUNDANT)
