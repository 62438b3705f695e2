"""Recording reports, and removing connectors (design §2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from app.domain.audit import Action
from app.domain.connector import Accepted, Event, EventKind, Report, accept, remove
from app.domain.errors import PreconditionFailed, TidemarkError, UnknownInputEndpoint, UnknownPipelineName
from app.domain.names import Address
from app.domain.roles import Principal
from app.store import audit, reports
from app.store.engine import Repeat
from app.store.reports import Change, Loaded


@dataclass(frozen=True, slots=True)
class Addressed:
    """A report and where it goes."""

    address: Address
    report: Report


@dataclass(frozen=True, slots=True)
class Recorded:
    """A report's version, and whether it made its connector known."""

    version: int
    created: bool


Outcome = Recorded | TidemarkError


def record(
    connection: Connection, items: Sequence[Addressed], *, keep_every: timedelta, hurry: bool = False
) -> list[Outcome]:
    """Records each report that is accepted, and answers for all of them, in their order.

    The first accepted report to a pipeline creates it. No two reports are to one connector: a version cannot be
    learnt inside a batch. A refused report is answered with its error and changes nothing.
    In a ``hurry`` it is given up, as ServiceUnavailable, rather than wait for somebody's lock for long.

    Raises Repeat when another write has overtaken one of them. Read again, a conditional report is refused as stale,
    and an unconditional one (synchronous recording) becomes the next version. All is read again, in a new transaction:
    one that went on with some rows locked would lock the others out of order, and deadlock; and its number, given at
    its first write, would be lower than that of the write that overtook it, whose events come first.
    """
    assert len({item.address for item in items}) == len(items), "two reports to one connector"  # noqa: S101
    loaded = reports.load(connection, [(item.address, _epoch_label(item.report)) for item in items], hurry=hurry)
    outcomes: dict[int, Outcome] = {}
    changes: dict[int, Change] = {}
    new: list[Address] = []  # of unknown pipelines
    for place, (item, found) in enumerate(zip(items, loaded, strict=True)):
        try:
            changes[place] = _change(item, found, keep_every)
        except TidemarkError as refused:
            outcomes[place] = refused
        else:
            new += [] if found.pipeline_known else [item.address]
    if new:
        reports.add_pipelines(connection, new)
    _write(connection, list(changes.values()))
    outcomes |= {place: _recorded(change) for place, change in changes.items()}
    return [outcomes[place] for place in range(len(items))]


def remove_connector(
    connection: Connection, address: Address, *, if_match: int | None = None, by: Principal | None = None
) -> None:
    """Removes a connector, at that version only if one is named: its epoch is closed and nobody sees it any more.

    The audit tells who did it. Raises UnknownPipelineName, UnknownInputEndpoint and PreconditionFailed, and Repeat when
    another write has overtaken it.
    """
    (loaded,) = reports.load(connection, [(address, None)])
    if not loaded.pipeline_known:
        raise UnknownPipelineName(address.pipeline)
    if loaded.connector.visible_version == 0:
        raise UnknownInputEndpoint(address.endpoint)
    if if_match not in (None, loaded.connector.version):
        raise PreconditionFailed(current_version=loaded.connector.version)
    removed = remove(loaded.connector)
    change = Change(
        address=address,
        before=loaded.connector,
        after=removed.connector,
        at=loaded.now,
        closed=removed.closed,
        events=(Event(kind=EventKind.REMOVED, details={}),),
    )
    if not reports.write_removal(connection, change):
        raise Repeat
    reports.write_history(connection, [change])
    details = {"pipeline": address.pipeline, "table": address.table, "connector": address.connector}
    audit.record(connection, address.tenant, Action.CONNECTOR_REMOVED, details, by=by)


def _write(connection: Connection, changes: list[Change]) -> None:
    if changes and len(reports.write(connection, changes)) < len(changes):
        raise Repeat
    reports.write_history(connection, changes)


def _epoch_label(report: Report) -> str | None:
    return report.position.epoch if report.position else None


def _change(item: Addressed, found: Loaded, keep_every: timedelta) -> Change:
    closed_labels = [_epoch_label(item.report)] if found.epoch_closed else []
    accepted: Accepted = accept(
        found.connector, item.report, now=found.now, closed_labels=closed_labels, keep_every=keep_every
    )
    return Change(
        address=item.address,
        before=found.connector,
        after=accepted.connector,
        at=found.now,
        closed=accepted.closed,
        opened=accepted.opened,
        events=accepted.events,
        errors=item.report.errors,
        observed=accepted.observed,
    )


def _recorded(change: Change) -> Recorded:
    return Recorded(change.after.version, created=change.before.visible_version == 0)
