"""A connector's record and how a report changes it: the heart of the token protocol (design §2), as pure functions.

(connector, report) ── accept ──▶ Accepted(connector, epoch opened and closed, events)
connector           ── remove ──▶ Removed(connector, epoch closed)
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from app.domain.activity import TROUBLE, Pace, follow
from app.domain.errors import EpochSuperseded, PositionRegressed, PreconditionFailed, PreconditionRequired
from app.domain.frontier import Checkpoint, Frontier, advance, append, thin
from app.domain.position import Position
from app.domain.status import ConnectorError, Health, Recording, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPosition:
    """The position part of a report."""

    epoch: str | None  # the label of this history of positions; None is a label like any other
    received: Position
    completed: Position | None  # None: not known, which completes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One complete measurement of a connector, as its reporter sends it."""

    if_match: int | None = None  # the version the reporter had seen before it measured
    recording: Recording = Recording.SAMPLED
    interval_seconds: float | None = None  # how often this reporter means to report; None: it does not say
    position: StreamPosition | None = None  # None: status only
    status: Status = field(default_factory=Status)
    errors: tuple[ConnectorError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A label for one history of positions; ``number`` counts a connector's epochs from 1."""

    number: int
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """All that is recorded of a connector's present."""

    version: int = 0  # 0: never seen
    removed: bool = False
    recording: Recording = Recording.SAMPLED
    interval_seconds: float | None = None
    last_epoch: int = 0  # the number of the newest epoch ever opened; goes on counting over a removal
    epoch: Epoch | None = None  # None: no position reported (since it was removed)
    position_version: int = 0  # the newest version that came with a position
    received: Position | None = None
    completed: Position | None = None
    completed_version: int = 0
    frontier: Frontier = ()
    pace: Pace = field(default_factory=Pace)
    status: Status = field(default_factory=Status)
    recorded_at: datetime | None = None
    observed_at: datetime | None = None  # when an observation was last kept

    @property
    def visible_version(self) -> int:
        """The version a reporter is to name in If-Match: 0 for a connector nobody can see."""
        return 0 if self.removed else self.version

    @property
    def waiting_since(self) -> datetime | None:
        """When the oldest input that is not completed yet was recorded; None when nothing waits."""
        return self.frontier[0].at if self.frontier else None


class EventKind(Enum):
    """What a connector_event tells of."""

    CREATED = "created"
    RESTORED = "restored"
    REMOVED = "removed"
    PAUSED = "paused"
    RESUMED = "resumed"
    FAILED = "failed"
    RECOVERED = "recovered"
    HEALTH = "health"
    EPOCH = "epoch"
    REWOUND = "rewound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A transition of a connector."""

    kind: EventKind
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochClosed:
    """The end of an epoch: what it had completed by then is frozen, and decides its tokens for ever."""

    number: int
    completed_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What an accepted report makes of a connector."""

    connector: Connector
    opened: Epoch | None
    closed: EpochClosed | None
    events: tuple[Event, ...]
    observed: bool  # whether an observation of it is to be kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a removal makes of a connector."""

    connector: Connector
    closed: EpochClosed | None


def check_precondition(connector: Connector, report: Report) -> None:
    """The conditional write (design §2, The rule).

    Raises PreconditionFailed for a stale report. One that names no version may have been on its way for long, so its
    position can be the first, or go on with those recorded: PreconditionRequired if it is sampled, or would turn a
    sampled connector synchronous or bring a removed one back. (`accept` raises it where it would open another epoch.)
    """
    if report.if_match is None:
        if report.recording is Recording.SAMPLED:
            raise PreconditionRequired
        if connector.removed:
            raise PreconditionRequired('The connector was removed: only a report with If-Match: "0" brings it back')
        if report.position and connector.last_epoch and connector.recording is Recording.SAMPLED:
            raise PreconditionRequired("The connector is sampled: a report that makes it synchronous needs If-Match")
    elif report.if_match != connector.visible_version:
        raise PreconditionFailed(current_version=connector.visible_version)


def accept(
    connector: Connector, report: Report, *, now: datetime, closed_labels: Collection[str | None], keep_every: timedelta
) -> Accepted:
    """The connector after the report has become its next version.

    ``closed_labels`` are the labels of the epochs closed since the connector was first seen or last removed;
    ``keep_every`` is the interval to which observations are thinned. Raises PreconditionRequired,
    PreconditionFailed, PositionRegressed and EpochSuperseded; a refused report changes nothing.
    """
    check_precondition(connector, report)
    position = report.position
    opened = _epoch_opened(connector, position, closed_labels)
    closed = _end_of_epoch(connector) if opened else None
    if opened and connector.last_epoch and report.if_match is None:
        raise PreconditionRequired("A report that begins a new epoch after others needs If-Match")
    following = replace(
        _enter_epoch(connector, opened),
        version=connector.version + 1,
        removed=False,
        recording=_recording(connector, report),
        interval_seconds=report.interval_seconds,
        status=report.status,
        recorded_at=now,
    )
    if position is not None:
        following = _take_position(following, position, now)
    events = _events(connector, following, opened, position)
    observed = _worth_observing(connector, following, events, now - keep_every)
    if observed:
        following = replace(following, observed_at=now)
    return Accepted(connector=following, opened=opened, closed=closed, events=events, observed=observed)


def remove(connector: Connector) -> Removed:
    """The connector marked removed, its epoch closed. Versions and epoch numbers are kept, to go on counting."""
    removed = replace(connector, removed=True, epoch=None, received=None, completed=None, frontier=(), pace=Pace())
    return Removed(connector=removed, closed=_end_of_epoch(connector))


def _epoch_opened(
    connector: Connector, position: StreamPosition | None, closed_labels: Collection[str | None]
) -> Epoch | None:
    if position is None or (connector.epoch is not None and position.epoch == connector.epoch.label):
        return None
    if connector.epoch is not None and position.epoch in closed_labels:
        raise EpochSuperseded(position.epoch, current=connector.epoch.label)
    return Epoch(number=connector.last_epoch + 1, label=position.epoch)


def _recording(connector: Connector, report: Report) -> Recording:
    """A connector turns synchronous with a position only: the one recorded before was sampled, and may be stale."""
    if report.position is None and connector.recording is Recording.SAMPLED:
        return Recording.SAMPLED
    return report.recording


def _end_of_epoch(connector: Connector) -> EpochClosed | None:
    if connector.epoch is None:
        return None
    return EpochClosed(number=connector.epoch.number, completed_version=connector.completed_version)


def _enter_epoch(connector: Connector, opened: Epoch | None) -> Connector:
    """Positions of different epochs are never compared, so a new one starts with nothing known of the old."""
    if opened is None:
        return connector
    return replace(
        connector,
        last_epoch=opened.number,
        epoch=opened,
        received=None,
        completed=None,
        completed_version=connector.version,
        frontier=(),
    )


def _take_position(connector: Connector, position: StreamPosition, now: datetime) -> Connector:
    """Advancing (design §2); ``connector`` already has the report's version."""
    regression = position.received.regression_from(connector.received) if connector.received else None
    if regression is not None:
        component, recorded, reported = regression
        raise PositionRegressed(component, recorded=recorded, reported=reported)
    checkpoint = Checkpoint(connector.version, position.received, now)
    frontier, dropped = advance(append(connector.frontier, checkpoint), position.completed)
    return replace(
        connector,
        position_version=connector.version,
        received=position.received,
        completed=position.completed,
        # Never lower than it was: versions only grow, and a rewound consumer drops no checkpoint.
        completed_version=connector.completed_version if dropped is None else dropped,
        frontier=thin(frontier),
        pace=follow(connector.pace, connector.completed, position.completed, waits=bool(frontier)),
    )


def _events(
    before: Connector, after: Connector, opened: Epoch | None, position: StreamPosition | None
) -> tuple[Event, ...]:
    events: list[tuple[EventKind, dict[str, Any]]] = []
    if before.visible_version == 0:
        events.append((EventKind.RESTORED if before.removed else EventKind.CREATED, {}))
    if opened is not None:
        events.append((EventKind.EPOCH, {"number": opened.number, "label": opened.label}))
    elif position is not None and _rewound(before, after):
        events.append((EventKind.REWOUND, {"completed_version": after.completed_version}))
    old = Status() if before.visible_version == 0 else before.status
    return tuple(Event(kind=kind, details=details) for kind, details in (*events, *_status_events(old, after.status)))


def _status_events(before: Status, after: Status) -> list[tuple[EventKind, dict[str, Any]]]:
    events: list[tuple[EventKind, dict[str, Any]]] = []
    if before.paused != after.paused:
        events.append((EventKind.PAUSED if after.paused else EventKind.RESUMED, {}))
    if before.fatal_error != after.fatal_error:
        failed = after.fatal_error is not None
        events.append((EventKind.FAILED if failed else EventKind.RECOVERED, {"error": after.fatal_error}))
    if _healthy(before.health) != _healthy(after.health):
        description = after.health.description if after.health else None
        events.append((EventKind.HEALTH, {"healthy": _healthy(after.health), "description": description}))
    return events


def _healthy(health: Health | None) -> bool | None:
    return None if health is None else health.healthy


def _rewound(before: Connector, after: Connector) -> bool:
    """Whether the completed position went back; what is not known cannot have."""
    if before.completed is None or after.completed is None:
        return False
    return before.completed.exceeds(after.completed)


def _worth_observing(before: Connector, after: Connector, events: tuple[Event, ...], due: datetime) -> bool:
    """Thinning (design §3): one observation per interval, unless something but counters changed."""
    if events or before.observed_at is None or before.observed_at <= due:
        return True
    return _without_counters(before) != _without_counters(after)


def _without_counters(connector: Connector) -> tuple[Any, ...]:
    """What tells one state from another. Whether a connector that keeps up is idle or moves, changes all the time."""
    status, progress = connector.status, connector.pace.progress
    trouble = progress if progress in TROUBLE else None
    said = status.fatal_error, status.health, status.paused, status.barrier, status.metrics.end_of_input
    return *said, trouble, connector.interval_seconds  # by which history knows how long a state lasts
