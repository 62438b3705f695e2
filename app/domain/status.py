"""What a connector says of itself: the fields of the dialect's stats (contract, "Stats")."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

MAX_ERROR_MESSAGE = 8192  # bytes of UTF-8
MAX_ERRORS_OF_A_TAG = 100  # the newest of a kind and tag that are kept
MAX_ERRORS_OF_A_KIND = 1000  # in all
MAX_METADATA = 256 * 1024  # bytes of an engine's own metadata, as JSON: room for Kafka's offsets of 2048 partitions
MAX_METADATA_DEPTH = 16

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_time(text: str) -> datetime:
    """The instant that an RFC 3339 timestamp names, in UTC; raises ValueError."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 timestamp with a time zone, such as 2026-01-31T12:00:00.000000Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a date and time that exists") from None


def format_time(instant: datetime) -> str:
    """The instant as the dialect writes it: RFC 3339, exactly six fractional digits and ``Z``."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Recording(Enum):
    """How a connector's reports relate to its input (design §2)."""

    SAMPLED = "sampled"  # measured now and then: conditional writes
    SYNCHRONOUS = "synchronous"  # committed before the input is acknowledged: never stale


class ErrorKind(Enum):
    """Where a connector error arose."""

    PARSE = "parse"
    TRANSPORT = "transport"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """A connector's counters. They are the engine's own, and may start again when it does."""

    total_bytes: int = 0
    total_records: int = 0
    buffered_records: int = 0
    buffered_bytes: int = 0
    num_transport_errors: int = 0
    num_parse_errors: int = 0
    end_of_input: bool = False
    processing_latency_p99_micros: int | None = None  # None: not known, and left out of the stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the connector can do its work."""

    healthy: bool
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorError:
    """One parse or transport error; ``index`` is the error counter after it was counted, from 1."""

    kind: ErrorKind
    timestamp: datetime
    index: int
    tag: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedFrontier:
    """The newest input that the engine has completed, in the engine's own terms."""

    metadata: Any
    ingested_at: datetime
    processed_at: datetime
    completed_at: datetime

    def to_json(self) -> dict[str, Any]:
        """The member ``completed_frontier`` of the stats."""
        return {
            "metadata": self.metadata,
            "ingested_at": format_time(self.ingested_at),
            "processed_at": format_time(self.processed_at),
            "completed_at": format_time(self.completed_at),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "CompletedFrontier":
        """The inverse of `to_json`."""
        times = {name: parse_time(value[name]) for name in ("ingested_at", "processed_at", "completed_at")}
        return cls(metadata=value["metadata"], **times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All of a connector's status but its position and its errors; the defaults are the neutral values."""

    metrics: Metrics = field(default_factory=Metrics)
    fatal_error: str | None = None
    health: Health | None = None
    paused: bool = False
    barrier: bool = False
    completed_frontier: CompletedFrontier | None = None


def cut_message(message: str) -> str:
    """The message, cut in its middle to 8 KiB of UTF-8: what began it and what ended it are what people need."""
    raw = message.encode()
    if len(raw) <= MAX_ERROR_MESSAGE:
        return message
    mark = " … "
    half = (MAX_ERROR_MESSAGE - len(mark.encode())) // 2
    return raw[:half].decode(errors="ignore") + mark + raw[-half:].decode(errors="ignore")


STALE_AFTER_INTERVALS = 3


def stale_for(recorded_at: datetime, interval_seconds: float | None, now: datetime) -> float | None:
    """How many seconds ago the last report was, when that is more than three of its intervals; else None.

    A reporter that names no interval promises no further report, so its last one never gets stale.
    """
    age = (now - recorded_at).total_seconds()
    if interval_seconds is None or age <= STALE_AFTER_INTERVALS * interval_seconds:
        return None
    return age
