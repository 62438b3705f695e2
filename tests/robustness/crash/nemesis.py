"""Who kills."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from tests.robustness.cluster import Cluster
from tests.robustness.crash.history import History, Kill
from tests.robustness.crash.service import Service

PAUSE = (0.6, 1.6)  # seconds between a kill and the next
_TRIES = 20
_TRY_AGAIN = 0.1  # seconds

DECK = (
    *("postmaster",) * 2,
    "immediate stop",
    *("backend",) * 2,
    *("backends terminated",) * 2,
    *("worker",) * 3,
    "master",
)
"""The kinds of kill, each as often as it comes in one round."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A kill to come: after so many seconds, of that kind, and a fraction that chooses the victim."""

    pause: float
    kind: str
    which: float


def plans(chance: random.Random, deck: Sequence[str] = DECK) -> Iterator[Plan]:
    """Kills without end, in rounds of all kinds in any order: nothing but the seed decides them."""
    while True:
        for kind in chance.sample(deck, len(deck)):
            yield Plan(chance.uniform(*PAUSE), kind, chance.random())


class Nemesis:
    """Kills what the plans say, and sees to it that it comes up again."""

    def __init__(self, cluster: Cluster, service: Service, history: History, schedule: Iterator[Plan]) -> None:
        self._cluster = cluster
        self._service = service
        self._history = history
        self._schedule = schedule
        self._strikes: dict[str, Callable[[float], bool]] = {
            "postmaster": self._kill_postmaster,
            "immediate stop": self._stop_immediately,
            "backend": self._kill_backend,
            "backends terminated": self._terminate_backends,
            "worker": self._service.kill_worker,
            "master": lambda _: self._service.kill_master(),
        }

    def rage(self, stop: threading.Event) -> None:
        """Kills until it is told to stop; all is up, or coming up, then."""
        for plan in self._schedule:
            if stop.wait(plan.pause):
                return
            self._strike(plan, stop)

    def _strike(self, plan: Plan, stop: threading.Event) -> None:
        """One kill, tried again for as long as there is nothing to be killed."""
        for _ in range(_TRIES):
            begin = self._history.clock()
            if self._strikes[plan.kind](plan.which):
                kill = Kill(begin=begin, end=self._history.clock(), kind=plan.kind)
                self._history.kills.append(kill)
                return
            if stop.wait(_TRY_AGAIN):
                return

    def _kill_postmaster(self, _: float) -> bool:
        self._cluster.kill()
        self._cluster.start()
        return True

    def _stop_immediately(self, _: float) -> bool:
        self._cluster.stop("immediate")
        self._cluster.start()
        return True

    def _kill_backend(self, which: float) -> bool:
        backends = sorted(self._cluster.backends(), key=lambda process: process.pid)
        if not backends:
            return False
        self._cluster.kill_backend(backends[int(which * len(backends))])
        return True

    def _terminate_backends(self, _: float) -> bool:
        with suppress(sa.exc.DBAPIError):
            return self._cluster.terminate_backends() > 0
        return False
