"""Where connectors stand, as it is notified when it changes and as it is looked up."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func

from app.domain.waiting import Need, Standing
from app.store.engine import array, statement

MOVED_CHANNEL = "tidemark_moved"
"""Where a report or a removal that moves a connector, or makes an event, notifies: ``id epoch version, …``."""


def read(connection: Connection, needs: Mapping[UUID, Need | None]) -> list[Standing]:
    """Where those of the connectors stand whose need is settled, in no order; None is settled wherever it stands."""
    parameters = {
        "connectors": array(needs),
        "epochs": array(need.epoch_number if need else None for need in needs.values()),
        "bindings": array(need.binding if need else None for need in needs.values()),
    }
    rows = connection.execute(statement("read_standings"), parameters)
    return [Standing(row.connector_id, row.epoch_number, row.completed_version) for row in rows]


def notifying(standing: Standing) -> ColumnElement[None]:
    """What notifies of one connector, for a statement to return; reports do it in ``sql/update_connectors.sql``."""
    payload = f"{standing.connector_id} {standing.epoch_number} {standing.completed_version}"
    return func.pg_notify(MOVED_CHANNEL, payload)


def parse(payload: str) -> list[Standing]:
    """What a notification tells; of nothing, it tells that all should be looked up. Raises ValueError."""
    return [_standing(text) for text in payload.split(",")] if payload else []


def _standing(text: str) -> Standing:
    connector, epoch, completed = text.split(" ")
    return Standing(UUID(connector), int(epoch), int(completed))
