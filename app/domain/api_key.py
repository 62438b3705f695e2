"""API keys: their form on the wire."""

import base64
import hashlib
import re
import zlib
from dataclasses import dataclass

from app.domain.errors import AuthenticationFailed

ID_BYTES = 10
SECRET_BYTES = 32

PREFIX = "tmk_"  # no JWT begins like this: those bytes begin no JSON
_WIRE = re.compile(r"tmk_([a-z2-7]{16})_([a-z2-7]{52})([a-z2-7]{7})")


@dataclass(frozen=True, slots=True)
class ApiKeyText:
    """An API key as its holder has it.

    Wire format: ``tmk_<id>_<secret><checksum>``, all lower-case base32 (RFC 4648, no padding): a public id of 10
    bytes, a secret of 32, and the CRC-32 of all that stands before it, so that a mistyped key is refused without a
    look at the database, and so that scanners can tell a leaked one. Only the SHA-256 of the secret is ever stored.
    """

    id: str
    secret: str

    @classmethod
    def make(cls, id_bytes: bytes, secret_bytes: bytes) -> "ApiKeyText":
        """The key of random bytes: ID_BYTES and SECRET_BYTES of them."""
        return cls(_base32(id_bytes), _base32(secret_bytes))

    @classmethod
    def parse(cls, text: str) -> "ApiKeyText":
        """The key that the text spells; raises AuthenticationFailed for anything else."""
        match = _WIRE.fullmatch(text)
        if match is None or match[3] != _checksum(text[: match.start(3)]):
            raise AuthenticationFailed
        return cls(match[1], match[2])

    def __str__(self) -> str:
        body = f"tmk_{self.id}_{self.secret}"
        return body + _checksum(body)

    def __repr__(self) -> str:
        return f"ApiKeyText({self.id!r}, ...)"  # a secret does not belong in a traceback

    @property
    def digest(self) -> bytes:
        """What the database keeps: the SHA-256 of the secret. It has 256 random bits, so no slow hash is needed."""
        return hashlib.sha256(self.secret.encode()).digest()


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _checksum(body: str) -> str:
    return _base32(zlib.crc32(body.encode()).to_bytes(4, "big"))
