"""Why a token is complete, not yet, or never: what is recorded of it and of its connector, put together (design §2)."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.activity import Lifecycle, Progress
from app.domain.errors import Gone
from app.domain.frontier import Checkpoint, Frontier
from app.domain.position import Position
from app.domain.rate import Estimate, Rate, Sample, estimate, measure
from app.domain.token import TokenId, TokenRecord, TokenStatus, evaluate

LOST = "lost"
"""What a token is that can never complete; beside the values of `TokenStatus`."""

WORST = 20
"""How many of the components that hold a token back are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A token's row, and what is known of its connector, all of one snapshot.

    While the token is in progress, its connector is in the token's epoch; so are its frontier and its samples.
    """

    now: datetime  # of the database's clock, as all times
    tenant: str
    pipeline: str
    pipeline_stopped: bool  # as its status was last reported
    table: str
    connector: str
    issued_at: datetime
    issued_by: str
    epoch_label: str | None
    record: TokenRecord
    version: int  # the connector's newest
    position_version: int  # its newest that came with a position
    recorded_at: datetime
    not_reporting_since: datetime | None  # None: it reports, or promises no further report
    lifecycle: Lifecycle
    progress: Progress
    frontier: Frontier
    completed: Position | None
    earlier: Sample | None  # a recent observation, to measure the rate from
    last_incomplete: datetime | None  # when the token's version was last known not to be completed
    first_complete: datetime | None  # when it was first known to be


@dataclass(frozen=True, slots=True)
class Component:
    """What is left to be completed in one component of a position."""

    name: str
    needed: int
    reached: int | None  # None: not known, which is never zero

    @property
    def missing(self) -> int | None:
        """In records."""
        return None if self.reached is None else self.needed - self.reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What holds back a token that is in progress."""

    reports: int  # further ones that it takes to bind the token to a position; 0: it is bound
    checkpoint: Checkpoint | None  # the one whose position it waits for; None: it is not bound yet
    components: tuple[Component, ...]  # that are not completed, the worst first
    records: int | None  # missing in all of them
    rate: Rate | None
    estimate: Estimate | None

    def lag_seconds(self, now: datetime) -> float | None:
        """For how long the position that the token waits for has been recorded; None: it is not bound yet."""
        return max(0.0, (now - self.checkpoint.at).total_seconds()) if self.checkpoint else None


@dataclass(frozen=True, slots=True)
class Completion:
    """Between which moments a token completed: nothing is written to it, but its connector was observed."""

    after: datetime | None  # None: no observation of the time before is kept
    by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A token explained; of the last three, it has the one that its status asks for."""

    token: TokenId
    known: Known
    obstacle: Obstacle | None = None
    completion: Completion | None = None
    lost: Gone | None = None

    @property
    def status(self) -> str:
        """The value of a `TokenStatus`, or `LOST`."""
        if self.lost:
            return LOST
        return TokenStatus.IN_PROGRESS.value if self.obstacle else TokenStatus.COMPLETE.value

    @property
    def bound(self) -> bool | None:
        """Whether it is known for which position the token waits, or has waited; None: it is lost, and that with it."""
        if self.lost:
            return None
        return self.obstacle is None or self.obstacle.checkpoint is not None


def explain(token: TokenId, known: Known) -> Explanation:
    """The token's explanation. That it is lost is one too, and not raised."""
    try:
        status = evaluate(known.record)
    except Gone as lost:
        return Explanation(token=token, known=known, lost=lost)
    if status is TokenStatus.COMPLETE:
        return Explanation(token=token, known=known, completion=_completion(known))
    return Explanation(token=token, known=known, obstacle=_obstacle(known))


def awaited(frontier: Frontier, binding: int) -> Checkpoint | None:
    """The checkpoint whose position a token in progress waits for: the oldest that is not older than its binding.

    Checkpoints are merged and thinned, so it may be of a later version. None: no report has bound the token yet.
    """
    return next((checkpoint for checkpoint in frontier if checkpoint.version >= binding), None)


def unfinished(needed: Position, completed: Position | None) -> tuple[Component, ...]:
    """The components in which ``completed`` has not reached ``needed``, as `Position.reaches` has it.

    The worst come first: those of which nothing is known, then the most missing; names decide between equals.
    """
    reached = {} if completed is None else completed.offsets
    every = (Component(name, offset, reached.get(name)) for name, offset in needed.offsets.items() if offset > 0)
    left = [component for component in every if component.missing is None or component.missing > 0]
    return tuple(sorted(left, key=_worst_first))


def _worst_first(component: Component) -> tuple[bool, int, str]:
    missing = component.missing
    return missing is not None, -(missing or 0), component.name


def _obstacle(known: Known) -> Obstacle:
    checkpoint = awaited(known.frontier, known.record.binding)
    components = unfinished(checkpoint.received, known.completed) if checkpoint else ()
    rate = _rate(known)
    # Of one that stands still, or of which nothing is heard, how it once moved foretells nothing.
    moves = known.progress is Progress.MOVING and known.lifecycle is not Lifecycle.FAILED
    missing = {component.name: component.missing for component in components}
    return Obstacle(
        # At least one: it may have the version already, but by a report without a position.
        reports=0 if checkpoint else max(1, known.record.binding - known.version),
        checkpoint=checkpoint,
        components=components,
        records=_total(components) if checkpoint else None,
        rate=rate,
        estimate=estimate(rate, missing, known.now) if moves else None,
    )


def _rate(known: Known) -> Rate | None:
    """The rate until the last report; None if that was one of status only, which does not tell what is completed."""
    if known.position_version < known.version:
        return None
    return measure(known.earlier, Sample(known.recorded_at, known.completed))


def _total(components: tuple[Component, ...]) -> int | None:
    missing = [component.missing for component in components]
    return None if None in missing else sum(records for records in missing if records is not None)


def _completion(known: Known) -> Completion:
    """A token does not complete before it is issued, whatever was completed already."""
    after, by = known.last_incomplete, known.first_complete or known.now
    return Completion(
        after=None if after is None else max(after, known.issued_at),
        by=max(by, known.issued_at),
    )
