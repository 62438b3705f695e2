"""The order of a tenant's transitions, and the place in it that a stream of them has reached."""

import base64
import struct
from dataclasses import dataclass
from uuid import UUID

from app.domain.connector import EventKind
from app.domain.errors import InvalidParam

DIGEST_BYTES = 8

_LARGEST = 2**63 - 1  # that the database can hold
_FIXED = struct.Struct(f">B{DIGEST_BYTES}sQQ16sQB")
_WIRE_VERSION = 1
_KINDS = ("", *(kind.value for kind in EventKind))


@dataclass(frozen=True, slots=True, order=True)
class EventPlace:
    """Where a transition stands in the order of all: by the transaction that recorded it, then as its key says.

    Transactions are numbered when they first write, which is not the order of their commits. So the order is known up
    to the oldest transaction that has not ended, and no further: see ``sql/read_events.sql``.
    """

    xid: int
    connector_id: UUID
    version: int
    kind: str


BEGINNING = EventPlace(0, UUID(int=0), 0, "")
"""Before all transitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How much of a stream has been told: the id of its events.

    Wire format, version 1, in base64url without padding: a byte 1; the digest of the query; the time; the transaction,
    the connector, the version and the kind (by its number in `EventKind`, from 1) of the place; and the told tokens, a
    bit each, the first the lowest. A new kind is added at the end. Clients hold it opaque. It is not signed: it names
    only what the query that it comes with may be told anyway.
    """

    query: bytes  # a digest, so that it is not taken for another query's
    made_at: int  # when that was all there was to tell: seconds since 1970, of the database's clock
    place: EventPlace
    told: int = 0  # the query's tokens that have been told of, as bits

    def __str__(self) -> str:
        place = self.place
        fixed = _FIXED.pack(
            _WIRE_VERSION,
            self.query,
            self.made_at,
            place.xid,
            place.connector_id.bytes,
            place.version,
            _KINDS.index(place.kind),
        )
        told = self.told.to_bytes((self.told.bit_length() + 7) // 8, "little")
        return base64.urlsafe_b64encode(fixed + told).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, query: bytes) -> "Cursor":
        """The cursor that the text spells, of that query; raises InvalidParam for anything else."""
        try:
            cursor = cls._decoded(text)
        except (ValueError, struct.error, IndexError):
            raise InvalidParam("last_event_id: not the id of an event") from None
        if cursor.query != query:
            raise InvalidParam("last_event_id: the id of an event of another query")
        return cursor

    @classmethod
    def _decoded(cls, text: str) -> "Cursor":
        raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        version, query, made_at, xid, connector, of_connector, kind = _FIXED.unpack(raw[: _FIXED.size])
        if version != _WIRE_VERSION or max(xid, of_connector) > _LARGEST:
            raise ValueError
        place = EventPlace(xid, UUID(bytes=connector), of_connector, _KINDS[kind])
        cursor = cls(query=query, made_at=made_at, place=place, told=int.from_bytes(raw[_FIXED.size :], "little"))
        if str(cursor) != text:  # each has one spelling
            raise ValueError
        return cursor
