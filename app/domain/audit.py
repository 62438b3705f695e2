"""The audit: what is recorded of who has done what, and the places in it that pages go on from."""

import base64
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from uuid import UUID

from app.domain.errors import InvalidParam

_PLACE = struct.Struct(">Q16s")
_WIRE = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


class Action(Enum):
    """What was done."""

    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    TENANT_CREATED = "tenant.created"
    CONNECTOR_REMOVED = "connector.removed"
    DENIED = "denied"  # nothing: somebody was not let in


@dataclass(frozen=True, slots=True)
class AuditPlace:
    """An event's place in its tenant's audit, which is read from the newest event on.

    Wire format: 32 characters, the base64url of the time, in microseconds since 1970, and of the event's id. Clients
    hold it opaque. It is not signed: it names a place, and whoever forges one sees no more than without.
    """

    at: datetime
    id: UUID

    def __str__(self) -> str:
        microseconds = (self.at - _1970) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(_PLACE.pack(microseconds, self.id.bytes)).decode()

    @classmethod
    def parse(cls, text: str) -> "AuditPlace":
        """The place that the text spells; raises InvalidParam."""
        try:
            if _WIRE.fullmatch(text):
                microseconds, raw = _PLACE.unpack(base64.urlsafe_b64decode(text))
                return cls(_1970 + timedelta(microseconds=microseconds), UUID(bytes=raw))
        except OverflowError:  # of a year that there is not
            pass
        raise InvalidParam("cursor: must be one from a page before")
