"""What both peers share: names, tokens and a few rules of the dialect (design §1-3)."""

import base64
from datetime import UTC, datetime
from uuid import UUID, uuid5

TENANT = uuid5(UUID("7fa6d3c4-6f0a-5d6e-9c86-2b8f0b1f4f1d"), "default")
STALE_AFTER_INTERVALS = 3
EXPIRED_AFTER_SECONDS = 30 * 86400


def pipeline_id(pipeline: str) -> UUID:
    return uuid5(TENANT, pipeline)


def connector_id(pipeline: str, table: str, connector: str) -> UUID:
    return uuid5(TENANT, f"{pipeline}\0{table}\0{connector}")


def token_text(connector: UUID, token: UUID) -> str:
    return "ct1_" + base64.b32encode(connector.bytes + token.bytes).decode().rstrip("=").lower()


def token_ids(text: str) -> tuple[UUID, UUID]:
    """The ids of the connector and of the token; raises ValueError."""
    if not text.startswith("ct1_") or len(text) != 56:
        raise ValueError("token: not a completion token")
    raw = base64.b32decode(text[4:].upper() + "====")
    return UUID(bytes=raw[:16]), UUID(bytes=raw[16:])


def is_expired(token: UUID, now: datetime) -> bool:
    return (token.int >> 80) < (now.timestamp() - EXPIRED_AFTER_SECONDS) * 1000


def time_text(instant: datetime) -> str:
    """RFC 3339 with six digits and Z, as the dialect wants it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def lag_records(received: "int | dict[str, int] | None", completed: "int | dict[str, int] | None") -> int | None:
    """The records between two positions; None where that is not known."""
    if isinstance(received, int) and isinstance(completed, int):
        return max(0, received - completed)
    if isinstance(received, dict) and isinstance(completed, dict):
        if any(offset and name not in completed for name, offset in received.items()):
            return None
        return sum(max(0, offset - completed.get(name, 0)) for name, offset in received.items())
    return None


def lag_seconds(waiting_since: str | None, recorded_at: datetime) -> float:
    """How long the oldest checkpoint has waited when the record was made."""
    if waiting_since is None:
        return 0.0
    return max(0.0, (recorded_at - datetime.fromisoformat(waiting_since)).total_seconds())


def stale_seconds(recorded_at: datetime, interval_seconds: float | None, now: datetime) -> float | None:
    """How old a report is that should have been followed by another one; None while it is fresh."""
    age = (now - recorded_at).total_seconds()
    return age if interval_seconds is not None and age > STALE_AFTER_INTERVALS * interval_seconds else None
