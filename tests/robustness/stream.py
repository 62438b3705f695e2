"""A connector as it really is, with the engine that runs it and the reporters that measure it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.connector import Report, StreamPosition
from app.domain.errors import PreconditionFailed
from app.domain.names import Address
from app.domain.position import MAX_OFFSET, Position
from app.domain.status import Recording
from app.services.report import Outcome, Recorded
from tests.robustness.ledger import Ledger, Offsets, Run

EDGES = (2**53, MAX_OFFSET)

NOTHING, FIRST, LAST, EVERYTHING = "nothing", "first", "last", "everything"
HIDDEN = (NOTHING, FIRST, LAST, EVERYTHING)
"""What a reporter cannot see of the completed position: a component, or the whole."""

RECORDED, BEFORE, LONG_BEFORE, ONE, ALL = "recorded", "before", "long before", "one", "all"
UPTO = (RECORDED, BEFORE, LONG_BEFORE, ONE, ALL)
"""How far a consumer gets: to the very position that was recorded last, last but one or two, by one, to the end."""
_BACK = {RECORDED: 1, BEFORE: 2, LONG_BEFORE: 3}


@dataclass(frozen=True)
class Shape:
    """What a connector is like."""

    components: tuple[str, ...]
    present: int  # so many of them from the start; the others appear when they get input
    start: int  # where a history of positions begins
    sparse: bool  # whether its completed position leaves out the components on which nothing was done
    recording: Recording


@dataclass
class Reporter:
    """Someone who learns, measures and writes, each at its own time."""

    learnt: int | None = None  # a version, by reading it or from an answer
    measured: Report | None = None  # with the version learnt before

    def hear(self, outcome: Outcome) -> None:
        """An answer tells the version: the new one, or that which had come first."""
        if isinstance(outcome, Recorded):
            self.learnt = outcome.version
        elif isinstance(outcome, PreconditionFailed):
            self.learnt = outcome.current_version


@dataclass
class Stream:
    """One connector."""

    address: Address
    shape: Shape
    ledger: Ledger
    first_label: str | None
    recording: Recording = field(init=False)
    run: Run = field(init=False)
    runs: int = 0
    committed: list[Report] = field(default_factory=list)  # what a synchronous engine has sent, without a version
    ended: list[StreamPosition] = field(default_factory=list)  # what each run that is over last knew
    reporters: Sequence[Reporter] = field(default_factory=lambda: (Reporter(), Reporter()))

    def __post_init__(self) -> None:
        self.recording = self.shape.recording
        self._begin(self.first_label)

    @property
    def synchronous(self) -> bool:
        return self.recording is Recording.SYNCHRONOUS

    def taken(self, component: int, step: int) -> dict[str, int]:
        """The received position once the engine will have taken so much, or all up to an edge."""
        name = self._component(component)
        now = self.run.received.get(name, 0)
        return self.run.received | {name: max(now, step) if step in EDGES else min(now + step, MAX_OFFSET)}

    def take(self, received: dict[str, int]) -> None:
        self.run.received = received
        for name in received:
            self.run.processed.setdefault(name, 0)
            self.run.ever.setdefault(name, 0)

    def process(self, component: int | None, upto: str) -> None:
        """Works off input, on one component or (None) on all."""
        names = self.run.received if component is None else [self._component(component)]
        recorded = self.recorded(_BACK.get(upto, 1))
        for name in names:
            end, done = self.run.received.get(name, 0), self.run.processed.get(name, 0)
            goal = {ONE: done + 1, ALL: end}.get(upto, recorded.get(name, 0))
            if done < min(goal, end):
                self.run.processed[name] = min(goal, end)
                self.run.ever[name] = max(self.run.ever[name], self.run.processed[name])

    def rewind(self, component: int, by: int) -> None:
        name = self._component(component)
        if name in self.run.processed:
            self.run.processed[name] = max(0, self.run.processed[name] - by)

    def restart(self) -> None:
        """The engine starts again from nothing, under a new label; what it had measured may still be on its way."""
        self.ended.append(self.position())
        self._begin(f"run-{self.runs}")

    def zombies(self) -> list[StreamPosition]:
        """What engines of closed epochs would report, if they woke up."""
        return [position for position in self.ended if position.epoch in self.ledger.closed]

    def lose_first_reports(self) -> None:
        """Drops what was measured for a synchronous engine before the connector had a version.

        A removed connector is at version 0 again. Such a report, on its way since before, would bring it back with a
        stale position, on which a token is complete at once: this service does not keep that apart.
        """
        for reporter in self.reporters:
            measured = reporter.measured
            if measured and measured.if_match == 0 and measured.recording is Recording.SYNCHRONOUS:
                reporter.measured = None

    def recorded(self, back: int = 1) -> Offsets:
        """The received position recorded last, or last but some, if it is of the present run's epoch."""
        reported = self.ledger.reported if self.ledger.label == self.run.label else []
        return reported[-back][1] if len(reported) >= back else {}

    def goes_on(self) -> bool:
        """Whether a report of a synchronous engine would go on with what is recorded, and so needs no version."""
        ledger = self.ledger
        if ledger.version and not ledger.visible:
            return False
        is_same = bool(ledger.epoch) and ledger.label == self.run.label
        return not ledger.epochs or (is_same and ledger.recording is Recording.SYNCHRONOUS)

    def position(self, hidden: str = NOTHING, received: dict[str, int] | None = None) -> StreamPosition:
        """A measurement; ``received`` is what the engine is about to take, if that is more."""
        return StreamPosition(
            epoch=self.run.label,
            received=Position(dict(self.run.received if received is None else received)),
            completed=self._completed(hidden),
        )

    def measure(self, if_match: int | None, hidden: str = NOTHING) -> Report:
        return Report(if_match=if_match, recording=self.recording, position=self.position(hidden))

    def status(self, if_match: int | None) -> Report:
        return Report(if_match=if_match, recording=self.recording)

    def _begin(self, label: str | None) -> None:
        self.runs += 1
        start = dict.fromkeys(self.shape.components[: self.shape.present], self.shape.start)
        self.run = Run(label, start, dict(start), dict(start))

    def _component(self, number: int) -> str:
        return self.shape.components[number % len(self.shape.components)]

    def _completed(self, hidden: str) -> Position | None:
        if hidden == EVERYTHING:
            return None
        offsets = {name: done for name, done in self.run.processed.items() if done > 0 or not self.shape.sparse}
        if hidden in (FIRST, LAST):
            offsets.pop(self.shape.components[0 if hidden == FIRST else -1], None)
        return Position(offsets)
