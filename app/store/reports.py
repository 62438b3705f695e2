"""Connectors as reports change them: loaded, written back if nobody else has, their history recorded."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.activity import Pace, Progress
from app.domain.connector import Connector, Epoch, EpochClosed, Event
from app.domain.frontier import Checkpoint, Frontier, lag, lag_records
from app.domain.names import Address
from app.domain.position import Position
from app.domain.status import (
    MAX_ERRORS_OF_A_KIND,
    MAX_ERRORS_OF_A_TAG,
    CompletedFrontier,
    ConnectorError,
    Health,
    Metrics,
    Recording,
    Status,
)
from app.domain.waiting import Standing
from app.store import models, standings
from app.store.engine import AnyRow, array, statement

_METRICS = tuple(each.name for each in fields(Metrics))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A connector as it stands, with what else decides on a report to it."""

    connector: Connector
    pipeline_known: bool
    epoch_closed: bool  # whether the report's epoch label names a closed epoch
    now: datetime  # of the database's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A connector's next state beside the one it was computed from, and what the change leaves behind."""

    address: Address
    before: Connector
    after: Connector
    at: datetime
    closed: EpochClosed | None = None
    opened: Epoch | None = None
    events: tuple[Event, ...] = ()
    errors: tuple[ConnectorError, ...] = ()
    observed: bool = False


def load(connection: Connection, wanted: Sequence[tuple[Address, str | None]], *, hurry: bool = False) -> list[Loaded]:
    """The connectors that reports are addressed to, in their order.

    ``wanted`` holds an address and the epoch label of its report each; an unknown connector is one at version 0.
    In a ``hurry`` the transaction is given up, as ServiceUnavailable, rather than wait for a lock for long.
    """
    parameters = {
        "ids": array(address.id for address, _ in wanted),
        "pipelines": array(address.pipeline_id for address, _ in wanted),
        "labels": [label for _, label in wanted],
        "hurry": hurry,
    }
    return [
        Loaded(
            connector=_connector(row),
            pipeline_known=row.pipeline_known,
            epoch_closed=bool(row.closed),
            now=row.now,
        )
        for row in connection.execute(statement("load_connectors"), parameters)
    ]


def add_pipelines(connection: Connection, addresses: Iterable[Address]) -> None:
    """Makes sure that the pipelines of these connectors exist; a new one is Running."""
    rows = {each.pipeline_id: {"tenant_id": each.tenant, "name": each.pipeline} for each in addresses}
    ordered = [{"id": pipeline} | rows[pipeline] for pipeline in sorted(rows)]  # as all do, or two would deadlock
    connection.execute(insert(models.Pipeline).values(ordered).on_conflict_do_nothing())


def write(connection: Connection, changes: Sequence[Change]) -> set[UUID]:
    """Writes each connector that is still as it was loaded; answers the ids of those written.

    No connector has more than one. At most two statements: one for the connectors never seen before, one for the
    others.
    """
    ordered = sorted(changes, key=lambda change: change.address.id)
    first = [change for change in ordered if change.before.version == 0]
    later = [change for change in ordered if change.before.version > 0]
    return (_insert(connection, first) if first else set()) | (_update(connection, later) if later else set())


def write_removal(connection: Connection, change: Change) -> bool:
    """Marks a connector removed, and forgets its errors, if it is still as it was loaded; answers whether it was.

    Where it was not, the transaction is to leave nothing behind: the errors are gone all the same.
    """
    table, errors = models.Connector, models.ConnectorError
    # Postgres runs it after the update, as every report does, or the two would deadlock.
    forgotten = delete(errors).where(errors.connector_id == change.address.id).cte("forgotten")
    written = connection.execute(
        update(table)
        .where(table.id == change.address.id, table.version == change.before.version, table.removed_at.is_(None))
        .values(
            removed_at=change.at,
            epoch_number=0,
            epoch_label=None,
            received=None,
            completed=None,
            frontier=[],
            progress=None,
            unmoved=0,
            lag_records=None,
        )
        .returning(standings.notifying(Standing(change.address.id, 0, change.after.completed_version)))
        .add_cte(forgotten)
    ).all()
    return bool(written)


def write_history(connection: Connection, changes: Sequence[Change]) -> None:
    """Records what changes leave behind beside their hot rows, which are written already; at most one statement."""
    rows = {
        "closed": [_closed(c, c.closed) for c in changes if c.closed],
        "opened": [_opened(c, c.opened) for c in changes if c.opened],
        "events": [_event(c, event) for c in changes for event in c.events],
        "observations": [_observation(c) for c in changes if c.observed],
        "errors": [_error(c, error) for c in changes for error in c.errors],
    }
    if any(rows.values()):
        parameters = {name: _json(group) for name, group in rows.items()}
        limits = {"of_a_tag": MAX_ERRORS_OF_A_TAG, "of_a_kind": MAX_ERRORS_OF_A_KIND}
        connection.execute(statement("write_history"), parameters | limits)


def parsed_position(position: object) -> Position | None:
    """A position as it is kept."""
    return None if position is None else Position.parse(position)


def parsed_frontier(frontier: Sequence[tuple[int, str, object]]) -> Frontier:
    """A frontier as it is kept: version, time and position of each checkpoint."""
    return tuple(
        Checkpoint(version, Position.parse(received), datetime.fromisoformat(at)) for version, at, received in frontier
    )


def _insert(connection: Connection, changes: list[Change]) -> set[UUID]:
    rows = [_row(change) | _names(change.address) for change in changes]
    return set(connection.scalars(statement("insert_connectors"), {"rows": _json(rows)}))


def _update(connection: Connection, changes: list[Change]) -> set[UUID]:
    rows = [_row(c) | _update_row(c) for c in changes]
    return set(connection.scalars(statement("update_connectors"), {"rows": _json(rows)}))


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, default=str, ensure_ascii=False)  # str: of a UUID and of a datetime


def _row(change: Change) -> dict[str, Any]:
    connector = change.after
    frontier = connector.status.completed_frontier
    return _observed(change) | {
        "id": change.address.id,
        "observed_at": connector.observed_at,
        "recording": connector.recording.value,
        "last_epoch": connector.last_epoch,
        "epoch_label": connector.epoch.label if connector.epoch else None,
        "position_version": connector.position_version,
        "frontier": [[c.version, c.at.isoformat(), c.received.to_json()] for c in connector.frontier],
        "unmoved": connector.pace.unmoved,
        "health_description": connector.status.health and connector.status.health.description,
        "completed_frontier": frontier and frontier.to_json(),
    }


def _observed(change: Change) -> dict[str, Any]:
    """What the hot row and an observation have in common."""
    connector = change.after
    status = connector.status
    return {
        "version": connector.version,
        "recorded_at": connector.recorded_at,
        "interval_seconds": connector.interval_seconds,
        "epoch_number": connector.epoch.number if connector.epoch else 0,
        "received": _position(connector.received),
        "completed": _position(connector.completed),
        "completed_version": connector.completed_version,
        "lag_records": lag_records(connector.received, connector.completed),
        "progress": _progress(connector.pace),
        "fatal_error": status.fatal_error,
        "health_status": _health_status(status.health),
        "paused": status.paused,
        "barrier": status.barrier,
        **{name: getattr(status.metrics, name) for name in _METRICS},
    }


def _update_row(change: Change) -> dict[str, Any]:
    before, after = change.before, change.after
    return {
        "expected_version": before.version,
        "expected_removed": before.removed,
        # Who waits for what has moved is to be told, and who follows the events.
        "tell": after.completed_version != before.completed_version or bool(change.events),
    }


def _names(address: Address) -> dict[str, Any]:
    return {
        "tenant_id": address.tenant,
        "pipeline_id": address.pipeline_id,
        "table_name": address.table,
        "connector_name": address.connector,
    }


def _position(position: Position | None) -> int | dict[str, int] | None:
    return None if position is None else position.to_json()


def _progress(pace: Pace) -> str | None:
    """What is not known is stored as null."""
    return None if pace.progress is Progress.UNKNOWN else pace.progress.value


def _health_status(health: Health | None) -> str | None:
    if health is None:
        return None
    return "Healthy" if health.healthy else "Unhealthy"


def _closed(change: Change, closed: EpochClosed) -> dict[str, Any]:
    return {
        "connector_id": change.address.id,
        "number": closed.number,
        "completed_version": closed.completed_version,
        "ended_at": change.at,
        "removed": change.after.removed,
    }


def _opened(change: Change, opened: Epoch) -> dict[str, Any]:
    return {
        "connector_id": change.address.id,
        "number": opened.number,
        "label": opened.label,
        "first_version": change.after.version,
        "started_at": change.at,
    }


def _event(change: Change, event: Event) -> dict[str, Any]:
    return {
        "connector_id": change.address.id,
        "version": change.after.version,
        "kind": event.kind.value,
        "at": change.at,
        "details": event.details,
        "tenant_id": change.address.tenant,
    }


def _observation(change: Change) -> dict[str, Any]:
    after = change.after
    behind = lag(after.received, after.completed, waiting_since=after.waiting_since, as_of=change.at)
    return _observed(change) | {"connector_id": change.address.id, "lag_seconds": behind.seconds}


def _error(change: Change, error: ConnectorError) -> dict[str, Any]:
    return {
        "connector_id": change.address.id,
        "kind": error.kind.value,
        "tag": error.tag or "",
        "index": error.index,
        "occurred_at": error.timestamp,
        "message": error.message,
    }


def _connector(row: AnyRow) -> Connector:
    if row.version is None:
        return Connector()
    return Connector(
        version=row.version,
        removed=row.removed_at is not None,
        recording=Recording(row.recording),
        interval_seconds=row.interval_seconds,
        last_epoch=row.last_epoch,
        epoch=Epoch(number=row.epoch_number, label=row.epoch_label) if row.epoch_number else None,
        position_version=row.position_version,
        received=parsed_position(row.received),
        completed=parsed_position(row.completed),
        completed_version=row.completed_version,
        frontier=parsed_frontier(row.frontier),
        pace=Pace(progress=Progress(row.progress or "unknown"), unmoved=row.unmoved),
        status=_status(row),
        recorded_at=row.recorded_at,
        observed_at=row.observed_at,
    )


def _status(row: AnyRow) -> Status:
    health = row.health_status and Health(healthy=row.health_status == "Healthy", description=row.health_description)
    frontier = row.completed_frontier and CompletedFrontier.from_json(row.completed_frontier)
    return Status(
        metrics=Metrics(**{name: getattr(row, name) for name in _METRICS}),
        fatal_error=row.fatal_error,
        health=health,
        paused=row.paused,
        barrier=row.barrier,
        completed_frontier=frontier,
    )
