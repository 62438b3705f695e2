"""Random histories of a connector's reports, and the pace that they tell when one looks back at all of them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.domain import connector
from app.domain.activity import Pace, Progress
from app.domain.connector import Connector, Report, StreamPosition
from app.domain.position import Position

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMPONENTS = ("0", "1")


class Wrong(AssertionError):
    """The record has another pace than its reports tell."""


@dataclass(frozen=True)
class Told:
    """What one report with a position said."""

    received: dict[str, int]
    completed: dict[str, int] | None

    @property
    def waits(self) -> bool:
        done = self.completed or {}
        return any(offset > done.get(name, 0) for name, offset in self.received.items())

    def gained(self, earlier: "Told") -> bool:
        """Whether more was completed in some component."""
        return any((self.completed or {}).get(c, 0) > (earlier.completed or {}).get(c, 0) for c in COMPONENTS)


def looking_back(history: list[Told]) -> Pace:
    """The pace after all reports of an epoch, the newest last: no state is carried from one to the next."""
    if not history or history[-1].completed is None:
        return Pace()
    if not history[-1].waits:
        return Pace(progress=Progress.IDLE)
    still = list(standing_still(history))
    if any(before.gained(after) for before, after in still) or rewound_at_its_start(history, len(still)):
        return Pace(progress=Progress.REWOUND, unmoved=len(still))
    return Pace(progress=Progress.STALLED if len(still) >= 3 else Progress.MOVING, unmoved=len(still))


def standing_still(history: list[Told]) -> Iterator[tuple[Told, Told]]:
    """The newest reports that found input waiting and nothing gained, each after the one before it; newest first."""
    for before, after in zip(reversed(history[:-1]), reversed(history), strict=False):
        if before.completed is None or not after.waits or after.gained(before):
            return
        yield before, after


def rewound_at_its_start(history: list[Told], still: int) -> bool:
    """Whether the report before the standing still had gone back in one component while it gained in another."""
    if len(history) < still + 2:
        return False
    before, after = history[-still - 2 : len(history) - still]
    return before.completed is not None and after.completed is not None and after.waits and before.gained(after)


class History:
    """A connector's reports at random, of all kinds."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.record = Connector()
        self.told: list[Told] = []
        self.epochs = 1
        self.received = dict.fromkeys(COMPONENTS, 0)
        self.completed = dict.fromkeys(COMPONENTS, 0)

    def play(self, steps: int = 40) -> None:
        kinds = (self.arrive, self.process, self.report, self.again, self.status_only, self.rewind)
        rare = (self.catch_up, self.forget_completed, self.restart, self.remove)
        for _ in range(steps):
            self.rng.choice(kinds if self.rng.random() < 0.85 else rare)()
            expected = looking_back(self.told)
            if self.record.pace != expected:
                raise Wrong(f"{self.record.pace} for {expected} after {self.told}")

    def arrive(self) -> None:
        self.received[self.rng.choice(COMPONENTS)] += self.rng.choice((0, 1, 3))
        self.report()

    def process(self) -> None:
        component = self.rng.choice(COMPONENTS)
        self.completed[component] = min(self.received[component] + 1, self.completed[component] + 1)
        self.report()

    def catch_up(self) -> None:
        self.completed = dict(self.received)
        self.report()

    def rewind(self) -> None:
        """One component goes back, while another one may go on."""
        component, other = self.rng.sample(COMPONENTS, 2)
        self.completed[component] = self.rng.randint(0, self.completed[component])
        self.completed[other] += self.rng.choice((0, 0, 1))
        self.report()

    def again(self) -> None:
        for _ in range(self.rng.randint(1, 4)):
            self.report()

    def report(self) -> None:
        """A component without anything completed may be missing, which is the same."""
        completed = {c: n for c, n in self.completed.items() if n > 0 or self.rng.random() < 0.5}
        self._send(Told(dict(self.received), completed))

    def forget_completed(self) -> None:
        self._send(Told(dict(self.received), None))

    def status_only(self) -> None:
        self._accept(None)

    def restart(self) -> None:
        self.epochs += 1
        self.told = []
        self.received = {c: self.rng.randint(0, 2) for c in COMPONENTS}
        self.completed = {c: self.rng.randint(0, n) for c, n in self.received.items()}
        self.report()

    def remove(self) -> None:
        if self.record.visible_version:
            self.record = connector.remove(self.record).connector
            self.told = []

    def _send(self, told: Told) -> None:
        self.told.append(told)
        completed = None if told.completed is None else Position(told.completed)
        received = Position(told.received)
        self._accept(StreamPosition(epoch=str(self.epochs), received=received, completed=completed))

    def _accept(self, position: StreamPosition | None) -> None:
        report = Report(if_match=self.record.visible_version, position=position)
        accepted = connector.accept(self.record, report, now=NOW, closed_labels=(), keep_every=timedelta(0))
        self.record = accepted.connector
