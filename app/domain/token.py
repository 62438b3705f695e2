"""Completion tokens: their binding, their evaluation and their form on the wire (design §2)."""

import base64
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from app.domain.connector import Connector
from app.domain.errors import (
    CompletionTokenExpired,
    InvalidParam,
    PipelineRestarted,
    UnknownEndpointInCompletionToken,
)
from app.domain.status import Recording

SAMPLED_AHEAD = 2
"""How many versions after the one it saw a token waits for; why 2 is right and 1 is not: design §2, The rule."""

WIRE = re.compile(r"ct1_[a-z2-7]{52}")


def binding(connector: Connector) -> int:
    """The version that a token issued now waits for; ``sql/issue_token.sql`` computes the same.

    A synchronous connector's recorded position is never stale, so its token waits for that: the newest version that
    came with a position, and not a later one of status only, which completes nothing.
    """
    if connector.recording is Recording.SYNCHRONOUS:
        return connector.position_version
    return connector.version + SAMPLED_AHEAD


class TokenStatus(Enum):
    """The answer to "has everything received before I asked been fully processed?"."""

    COMPLETE = "complete"
    IN_PROGRESS = "inprogress"


@dataclass(frozen=True, slots=True)
class TokenId:
    """What a token names: its connector, and a UUIDv7 that dates it.

    Wire format, version 1: ``ct1_`` and the 32 bytes of both UUIDs in lower-case base32 (RFC 4648, no padding),
    56 characters that any part of a URL takes as they are. A client must treat all of it as opaque: what may
    change, under another prefix, is everything after the first underscore. The row is the truth, so a forged
    token finds nothing.
    """

    connector_id: UUID
    id: UUID

    def __str__(self) -> str:
        encoded = base64.b32encode(self.connector_id.bytes + self.id.bytes).decode()
        return "ct1_" + encoded.rstrip("=").lower()

    @classmethod
    def parse(cls, text: str) -> "TokenId":
        """The token that the text spells; raises InvalidParam unless it is exactly what `str` gives."""
        if WIRE.fullmatch(text):
            raw = base64.b32decode(text[4:].upper() + "====")
            token = cls(UUID(bytes=raw[:16]), UUID(bytes=raw[16:]))
            # The last character has bits to spare; only one of its spellings is the token.
            if str(token) == text and token.id.version == 7:
                return token
        raise InvalidParam("token: not a completion token")

    @property
    def issued_at_ms(self) -> int:
        """When the token was issued, in milliseconds since 1970 (RFC 9562 §5.7); a forged one can say year 10889."""
        return self.id.int >> 80


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """A token's row beside what its connector and its epoch say now, all read in one statement."""

    epoch_number: int
    binding: int
    removed: bool  # the connector
    current_epoch_number: int
    completed_version: int  # of the token's own epoch: frozen when that has ended
    epoch_ended: bool


def evaluate(token: TokenRecord) -> TokenStatus:
    """The token's status.

    Raises UnknownEndpointInCompletionToken when its connector was removed and PipelineRestarted when it was lost
    with its epoch: a token that can never complete is not called *inprogress*.
    """
    if token.removed:
        raise UnknownEndpointInCompletionToken
    if token.completed_version >= token.binding:
        return TokenStatus.COMPLETE
    if token.epoch_ended:
        raise PipelineRestarted(token_epoch=token.epoch_number, current_epoch=token.current_epoch_number)
    return TokenStatus.IN_PROGRESS


def check_age(token: TokenId, now: datetime, retention: timedelta) -> None:
    """Raises CompletionTokenExpired for a token past its retention, also when its row is long gone."""
    if token.issued_at_ms < (now - retention).timestamp() * 1000:
        raise CompletionTokenExpired
