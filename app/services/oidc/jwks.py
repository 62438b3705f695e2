"""The keys that an identity provider publishes (a JWK Set, RFC 7517), each for one algorithm."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact

from app.domain.jwt import MAX_BYTES, base64url

_LEAST_RSA_BITS, _MOST_RSA_BITS = 2048, 8192  # of less a signature can be forged; more only takes time
_MOST_EXPONENT_BITS = 32
_MOST_KEYS = 100

PublicKey = RSAKey | ECKey


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """A public key, and the one algorithm that it is used with, whatever a token says (RFC 8725 §3.1)."""

    algorithm: str
    key: PublicKey

    def has_signed(self, token: str) -> bool:
        """Whether it has: a token in compact form, which `app.domain.jwt` has found to be one."""
        # Not strict about the header: it holds whatever providers put there, and none of it counts here.
        registry = _Registry(algorithms=[self.algorithm], strict_check_header=False)
        try:
            deserialize_compact(token, self.key, registry=registry)
        except (JoseError, ValueError, TypeError):
            return False
        return True


class _Registry(JWSRegistry):
    max_header_length = max_payload_length = max_signature_length = MAX_BYTES


def pinned_keys(document: Mapping[str, Any]) -> dict[str, PinnedKey]:
    """Those keys of the set that are fit to verify tokens, by their ids; others are nobody's business.

    Of several with the same id there is none: nobody could say which is meant.
    """
    listed = document.get("keys")
    entries = [each for each in listed[:_MOST_KEYS] if isinstance(each, dict)] if isinstance(listed, list) else []
    fit = [(_text(each, "kid"), key) for each in entries if (key := _pinned(each)) is not None]
    times = Counter(key_id for key_id, _ in fit)
    return {key_id: key for key_id, key in fit if key_id and times[key_id] == 1}


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _pinned(entry: Mapping[str, Any]) -> PinnedKey | None:
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(_text(entry, "kty"))
    if algorithm is None or entry.get("alg", algorithm) != algorithm or not _is_for_verifying(entry):
        return None
    try:
        key = _rsa(entry) if algorithm == "RS256" else _p256(entry)
    except (JoseError, ValueError, TypeError):
        return None
    return PinnedKey(algorithm, key)


def _is_for_verifying(entry: Mapping[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    is_private = "d" in entry  # and therefore no secret any more
    return (
        entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations and not is_private
    )


def _rsa(entry: Mapping[str, Any]) -> RSAKey:
    modulus, exponent = _text(entry, "n"), _text(entry, "e")
    if not _LEAST_RSA_BITS <= _bits(modulus) <= _MOST_RSA_BITS or _bits(exponent) > _MOST_EXPONENT_BITS:
        raise ValueError("its size is out of bounds")
    return RSAKey.import_key({"kty": "RSA", "n": modulus, "e": exponent})


def _bits(number: str) -> int:
    return int.from_bytes(base64url(number)).bit_length()


def _p256(entry: Mapping[str, Any]) -> ECKey:
    if entry.get("crv") != "P-256":
        raise ValueError("another curve")
    return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": _text(entry, "x"), "y": _text(entry, "y")})
