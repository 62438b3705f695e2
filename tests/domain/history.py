"""Random histories of a connector with the ground truth at hand: what the record must never get wrong (design §2).

The world knows what the engine has really taken and really processed. Reporters learn a version, measure at any
later moment, write at any moment after that, or never; there are two of them, and zombies of closed epochs. The
record is the domain's `Connector`, as the store keeps it. After every step all tokens ever issued are judged.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.domain import connector as connector_module
from app.domain import token as token_module
from app.domain.connector import Connector, Report, StreamPosition
from app.domain.errors import (
    EpochSuperseded,
    PositionRegressed,
    PreconditionFailed,
    PreconditionRequired,
    TidemarkError,
)
from app.domain.position import SCALAR, Position
from app.domain.status import Recording
from app.domain.token import TokenRecord, TokenStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Early(AssertionError):
    """A token was complete before everything it stands for had been processed: the worst bug there can be."""


class Undone(AssertionError):
    """A complete token was complete no more."""


class Stuck(AssertionError):
    """Everything was processed and reported, and a token was not complete."""


class Lost(AssertionError):
    """A token was lost although its epoch goes on, or answered as going on although it can never complete."""


@dataclass
class Incarnation:
    """One history of positions, as it really was."""

    label: str
    received: dict[str, int]
    processed: dict[str, int]
    ever_processed: dict[str, int]  # also before a rewind


@dataclass
class Token:
    epoch_number: int
    binding: int
    incarnation: Incarnation
    need: dict[str, int]  # all that had been received when it was asked for
    was_complete: bool = False


@dataclass
class Reporter:
    """A measurement on its way: the version learnt before, the position measured after."""

    learnt: int | None = None
    position: StreamPosition | None = None
    status_only: bool = False


@dataclass
class World:
    rng: random.Random
    recording: Recording
    components: list[str]
    now: Incarnation = field(init=False)
    record: Connector = field(default_factory=Connector)
    frozen: dict[int, int] = field(default_factory=dict)  # completed_version of the closed epochs
    closed_labels: set[str | None] = field(default_factory=set)
    zombies: list[StreamPosition] = field(default_factory=list)
    reporters: list[Reporter] = field(default_factory=lambda: [Reporter(), Reporter()])
    tokens: list[Token] = field(default_factory=list)
    incarnations: int = 0

    def __post_init__(self) -> None:
        self._begin(dict.fromkeys(self.components, 0))

    # what happens

    def arrive(self) -> None:
        """The engine takes input. A synchronous one has its report committed before that counts as received."""
        taken = {c: n + self.rng.choice((0, 1, 1, 7)) for c, n in self.now.received.items()}
        if self.recording is Recording.SAMPLED or self._commit(self._measured(taken)):
            self.now.received = taken

    def process(self) -> None:
        for component, end in self.now.received.items():
            done = self.rng.randint(self.now.processed[component], end)
            self._set_processed(component, done)

    def process_all(self) -> None:
        for component, end in self.now.received.items():
            self._set_processed(component, end)

    def rewind(self) -> None:
        component = self.rng.choice(self.components)
        self.now.processed[component] = self.rng.randint(0, self.now.processed[component])

    def restart(self) -> None:
        """The engine starts again from nothing, and says so from its next report on."""
        measured = self._measured(self.now.received)
        self.zombies.append(measured)
        self._begin(dict.fromkeys(self.components, 0))

    def learn(self) -> None:
        reporter = self.rng.choice(self.reporters)
        reporter.learnt, reporter.position, reporter.status_only = self.record.visible_version, None, False

    def measure(self) -> None:
        reporter = self.rng.choice(self.reporters)
        if reporter.learnt is not None:
            reporter.position = self._measured(self.now.received)
            reporter.status_only = self.rng.random() < 0.3

    def tell(self) -> None:
        """A reporter writes what it has measured, and right after that its status only."""
        reporter = self.rng.choice(self.reporters)
        if reporter.position is not None and self._write(reporter.position, reporter.learnt):
            self._write(None, self.record.visible_version)
            reporter.learnt = reporter.position = None

    def write(self) -> None:
        """Writes what was measured. Kept, now and then: a retry of an old report must do no harm."""
        reporter = self.rng.choice(self.reporters)
        if reporter.position is None:
            return
        self._write(None if reporter.status_only else reporter.position, reporter.learnt)
        if self.rng.random() < 0.7:
            reporter.learnt = reporter.position = None

    def write_unconditionally(self) -> None:
        """A careless reporter sends an old measurement without a version, and again for lack of an answer."""
        reporter = self.rng.choice(self.reporters)
        if reporter.position is not None and self.recording is Recording.SAMPLED:
            self._write(reporter.position, None)
            self._write(reporter.position, None)

    def write_as_zombie(self) -> None:
        """An engine of a closed epoch wakes up, learns the version and reports what it last knew."""
        if self.zombies:
            self._write(self.rng.choice(self.zombies), self.record.visible_version)

    def forget(self) -> None:
        """The engine starts again from nothing and reports under its old label; refused, it names a new one."""
        label, recorded = self.now.label, self.record
        if recorded.epoch and recorded.epoch.label == label and recorded.received and any(self._recorded()):
            self.restart()
            honest, self.now.label = self.now.label, label
            if not self._write(self._measured(self.now.received), recorded.visible_version):
                self.now.label = honest

    def status_only(self) -> None:
        """A synchronous engine tells of its health."""
        if self.recording is Recording.SYNCHRONOUS:
            self._write(None, None)

    def issue(self) -> None:
        """As ``issue_token.sql`` does. What counts is all that was received, whatever the record says of it."""
        if self.record.epoch is None or self.record.epoch.label != self.now.label:
            return  # no position yet, or an engine that has not reported since its restart
        binding = token_module.binding(self.record)
        need = dict(self.now.received)
        self.tokens.append(Token(self.record.epoch.number, binding, self.now, need))

    def remove(self) -> None:
        if self.record.visible_version:
            removed = connector_module.remove(self.record)
            if removed.closed:
                self.frozen[removed.closed.number] = removed.closed.completed_version
            self.record = removed.connector
            self.closed_labels = set()

    # what must hold

    def judge(self) -> None:
        """Early, Undone or Lost for any token that is not told the truth."""
        for token in self.tokens:
            status = self._status(token)
            complete = status is TokenStatus.COMPLETE
            if complete and any(token.incarnation.ever_processed[c] < n for c, n in token.need.items()):
                raise Early(token)
            if token.was_complete and not complete and not self.record.removed:
                raise Undone(token)
            ended = token.epoch_number in self.frozen
            if not complete and not self.record.removed and (status is None) != ended:
                raise Lost(token)
            token.was_complete = complete

    def finish(self) -> None:
        """Everything is processed and two more reports are made: every token of a living epoch is complete.

        So is one asked for after that of a synchronous engine, whose recorded position is never stale.
        """
        self.process_all()
        for _ in range(2):
            self._write(self._measured(self.now.received, known=True), self.record.visible_version)
        if self.recording is Recording.SYNCHRONOUS:
            self.status_only()
            self.issue()
        self.judge()
        for token in self.tokens:
            if token.incarnation is self.now and token.epoch_number not in self.frozen and not token.was_complete:
                raise Stuck(token)

    # how

    def _begin(self, nothing: dict[str, int]) -> None:
        self.incarnations += 1
        label = f"run-{self.incarnations}"
        self.now = Incarnation(label, dict(nothing), dict(nothing), dict(nothing))

    def _set_processed(self, component: str, done: int) -> None:
        self.now.processed[component] = done
        self.now.ever_processed[component] = max(self.now.ever_processed[component], done)

    def _measured(self, received: dict[str, int], *, known: bool = False) -> StreamPosition:
        """Received and completed as they are now; a consumer that has done nothing has no completed offset."""
        completed = {c: n for c, n in self.now.processed.items() if n > 0 or self.rng.random() < 0.5}
        known = known or self.rng.random() < 0.95
        return StreamPosition(
            epoch=self.now.label, received=Position(dict(received)), completed=Position(completed) if known else None
        )

    def _commit(self, position: StreamPosition) -> bool:
        """Whether a synchronous engine's report was accepted; a removed connector is brought back on condition."""
        return self._write(position, None) or self._write(position, self.record.visible_version)

    def _recorded(self) -> Iterable[int]:
        return self.record.received.offsets.values() if self.record.received else ()

    def _write(self, position: StreamPosition | None, if_match: int | None) -> bool:
        """Whether the report was accepted."""
        report = Report(if_match=if_match, recording=self.recording, position=position)
        try:
            accepted = connector_module.accept(
                self.record, report, now=NOW, closed_labels=self.closed_labels, keep_every=timedelta(0)
            )
        except (PreconditionFailed, PreconditionRequired, PositionRegressed, EpochSuperseded):
            return False
        if accepted.closed:
            self.frozen[accepted.closed.number] = accepted.closed.completed_version
            self.closed_labels.add(self.record.epoch.label if self.record.epoch else None)
        self.record = accepted.connector
        return True

    def _status(self, token: Token) -> TokenStatus | None:
        """As ``check_token.sql`` reads it; None where it is gone."""
        ended = token.epoch_number in self.frozen
        record = TokenRecord(
            epoch_number=token.epoch_number,
            binding=token.binding,
            removed=self.record.removed,
            current_epoch_number=self.record.last_epoch,
            completed_version=self.frozen[token.epoch_number] if ended else self.record.completed_version,
            epoch_ended=ended,
        )
        try:
            return token_module.evaluate(record)
        except TidemarkError:
            return None


_STEPS = (
    ("arrive", 8),
    ("process", 4),
    ("process_all", 8),
    ("learn", 12),
    ("measure", 12),
    ("write", 12),
    ("status_only", 3),
    ("tell", 4),
    ("issue", 10),
    ("rewind", 1),
    ("restart", 1),
    ("remove", 0.5),
    ("write_unconditionally", 1),
    ("write_as_zombie", 1),
    ("forget", 1),
)


def play(seed: int, steps: int = 60) -> int:
    """Plays one history and answers how many tokens it issued. Raises Early, Undone, Lost or Stuck."""
    rng = random.Random(seed)
    recording = Recording.SYNCHRONOUS if rng.random() < 0.25 else Recording.SAMPLED
    components = [SCALAR] if rng.random() < 0.4 else [str(n) for n in range(rng.randint(1, 3))]
    world = World(rng, recording, components)
    names, weights = zip(*_STEPS, strict=True)
    for name in rng.choices(names, weights, k=steps):
        getattr(world, name)()
        world.judge()
    if world.record.epoch is not None and world.record.epoch.label == world.now.label:
        world.finish()
    return len(world.tokens)
