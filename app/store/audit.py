"""The audit, written and read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, tuple_

from app.domain.audit import Action, AuditPlace
from app.domain.roles import Principal
from app.store.engine import AnyRow
from app.store.models import AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is told of an event."""

    at: datetime
    action: Action
    actor: str | None
    key_id: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Events, the newest first, and the last one's place, when there are older ones."""

    entries: Sequence[Entry]
    last: AuditPlace | None


def record(
    connection: Connection,
    tenant: UUID,
    action: Action,
    details: Mapping[str, Any],
    *,
    by: Principal | None,
    key_id: str | None = None,
    ago: timedelta = timedelta(0),
) -> None:
    """Records in the tenant's audit what somebody does in this very transaction, or did a moment ago.

    An actor of another tenant is told with it, as ``tenant/name``. Where nobody is known to have done it, ``key_id`` is
    of the key that he has shown.
    """
    actor = by and (by.name if by.tenant_id == tenant else f"{by.tenant}/{by.name}")
    event = {"tenant_id": tenant, "action": action.value, "actor": actor, "key_id": by.key_id if by else key_id}
    at = func.clock_timestamp() - ago
    connection.execute(insert(AuditEvent).values(**event, details=dict(details), at=at))


def read_page(
    connection: Connection, tenant: UUID, actions: Sequence[str] | None, after: AuditPlace | None, limit: int
) -> Page:
    """The tenant's newest events, at most ``limit``, that are of these actions and older than that place."""
    event = AuditEvent
    wanted = select(event.at, event.id, event.action, event.actor, event.key_id, event.details)
    wanted = wanted.where(event.tenant_id == tenant).order_by(event.at.desc(), event.id.desc()).limit(limit + 1)
    if actions is not None:
        wanted = wanted.where(event.action.in_(actions))
    if after is not None:
        wanted = wanted.where(tuple_(event.at, event.id) < (after.at, after.id))
    rows = connection.execute(wanted).all()
    last = AuditPlace(rows[limit - 1].at, rows[limit - 1].id) if len(rows) > limit else None
    return Page([_entry(row) for row in rows[:limit]], last)


def _entry(row: AnyRow) -> Entry:
    return Entry(at=row.at, action=Action(row.action), actor=row.actor, key_id=row.key_id, details=row.details)
