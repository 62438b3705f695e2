"""What the loop knows of an engine, and how a look at it becomes a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from app.domain.connector import Report, StreamPosition
from app.domain.names import Address
from app.domain.status import ConnectorError, ErrorKind, Health, Status, cut_message
from app.store.reports import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one look at a connector has found."""

    position: StreamPosition
    total_records: int  # the number of the newest one
    buffered_records: int  # of them, not processed yet
    paused: bool
    trouble: str | None = None  # what is wrong although it could be measured


class TransportError(Exception):
    """The engine, or the connector at it, could not be asked. The message tells why, and no credential."""


Found = Measurement | TransportError


class Source(Protocol):
    """An engine that can be asked for the state of some connectors."""

    tag: str  # of the transport errors that it is the cause of

    async def measure(self, addresses: Sequence[Address]) -> Mapping[Address, Found]:
        """Looks at each connector now. What cannot be asked is a TransportError in the answer, never raised."""

    async def close(self) -> None:
        """Lets go of the engine; the next measurement, if there is one, begins anew."""


def report_of(loaded: Loaded, found: Found, *, tag: str, interval_seconds: float) -> Report:
    """The report on what was found, to be written if the connector still is as it was loaded before the look at it."""
    before = loaded.connector
    if isinstance(found, TransportError):
        return _failed(loaded, str(found), tag, interval_seconds)
    metrics = replace(before.status.metrics, total_records=found.total_records, buffered_records=found.buffered_records)
    health = Health(healthy=found.trouble is None, description=found.trouble)
    return Report(
        if_match=before.visible_version,
        interval_seconds=interval_seconds,
        position=found.position,
        status=Status(metrics=metrics, health=health, paused=found.paused),
    )


def _failed(loaded: Loaded, message: str, tag: str, interval_seconds: float) -> Report:
    """Status only: what was recorded stands, but for the error. The counter is the record's, to survive restarts."""
    before = loaded.connector
    count = before.status.metrics.num_transport_errors + 1
    message = cut_message(message)
    error = ConnectorError(kind=ErrorKind.TRANSPORT, timestamp=loaded.now, index=count, tag=tag, message=message)
    status = replace(
        before.status,
        metrics=replace(before.status.metrics, num_transport_errors=count),
        health=Health(healthy=False, description=message),
    )
    return Report(if_match=before.visible_version, interval_seconds=interval_seconds, status=status, errors=(error,))
