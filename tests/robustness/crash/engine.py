"""Simulated engines, whose progress is the truth that tokens are held against."""

import random
import threading
from dataclasses import dataclass

from tests.robustness.crash.history import History, Position, Progress

_CHANCE_PROCESSED = 0.6  # of a component, to be processed to its end rather than to somewhere before


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """An engine's position, read in one moment."""

    label: str
    received: Position
    completed: Position


class Engine:
    """The engine behind one connector. Every step is recorded before anybody can see it, under a lock."""

    def __init__(self, connector: str, components: tuple[str, ...], history: History) -> None:
        self.connector = connector
        self._history = history
        self._lock = threading.Lock()
        self._incarnation = 0
        self._received: Position
        self._processed: Position
        self._begin(dict.fromkeys(components, 0))

    def arrive(self, chance: random.Random) -> None:
        """Input comes in."""
        with self._lock:
            self._received = _more(self._received, chance)
            self._record()

    def proposed(self, base: Position, chance: random.Random) -> Measurement:
        """What a synchronous engine is about to receive, beyond ``base``: to be reported first, and then `take`n."""
        with self._lock:
            return Measurement(label=self._label, received=_more(base, chance), completed=dict(self._processed))

    def take(self, received: Position) -> None:
        """What was proposed is received."""
        with self._lock:
            self._received = dict(received)
            self._record()

    def process(self, chance: random.Random) -> None:
        """Some of the input, most often all of it, is processed."""
        with self._lock:
            for component, end in self._received.items():
                done = self._processed[component]
                self._processed[component] = end if chance.random() < _CHANCE_PROCESSED else chance.randint(done, end)
            self._record()

    def process_all(self) -> None:
        """All that has come in is processed."""
        with self._lock:
            self._processed = dict(self._received)
            self._record()

    def restart(self) -> None:
        """The engine starts again from nothing, under a new label."""
        with self._lock:
            self._begin(dict.fromkeys(self._received, 0))

    def measure(self) -> Measurement:
        """Where it stands."""
        with self._lock:
            return Measurement(label=self._label, received=dict(self._received), completed=dict(self._processed))

    def _begin(self, nothing: Position) -> None:
        self._incarnation += 1
        self._label = f"run-{self._incarnation}"
        self._received, self._processed = dict(nothing), dict(nothing)
        self._record()

    def _record(self) -> None:
        step = Progress(
            at=self._history.clock(),
            connector=self.connector,
            label=self._label,
            received=dict(self._received),
            processed=dict(self._processed),
        )
        self._history.progress.append(step)


def _more(position: Position, chance: random.Random) -> Position:
    return {component: offset + chance.choice((0, 1, 1, 7)) for component, offset in position.items()}
