"""The connectors of a crash run, their engines, and the clients that work on them."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from tests.robustness.crash.calls import Caller, Issued, Target
from tests.robustness.crash.clients import Asker, Client, Committer, Reporter, Subject, keep_on
from tests.robustness.crash.engine import Engine
from tests.robustness.crash.history import History

_ASKERS = 6
_SETTLED = 3  # reports in a row: enough for every token, whatever version it waits for
_PATIENCE = 120  # seconds for the server to take the last reports
_RETRY = 0.1

_VECTOR = ("0", "1", "2")
TARGETS = {
    target.name: target
    for target in (
        Target(pipeline="p1", name="scalar"),
        Target(pipeline="p1", name="vector", components=_VECTOR),
        Target(pipeline="p1", name="shared"),
        Target(pipeline="p1", name="committed", synchronous=True),
        Target(pipeline="p2", name="batched"),
        Target(pipeline="p2", name="batched-vector", components=_VECTOR),
        Target(pipeline="p2", name="batched-and-single"),
        Target(pipeline="p2", name="committed-vector", components=_VECTOR, synchronous=True),
        Target(pipeline="p3", name="restarting", restarts=0.03),
        Target(pipeline="p3", name="removed", removals=0.03),
        Target(pipeline="p3", name="everything", components=_VECTOR, restarts=0.02, removals=0.02),
    )
}
_REPORTERS = {
    "reporter-1": ("scalar", "vector", "shared", "restarting", "removed", "everything"),
    "reporter-2": ("vector", "shared", "batched-and-single", "restarting", "everything"),
}
_BATCH = ("batched", "batched-vector", "batched-and-single")
_COMMITTED = ("committed", "committed-vector")


class Crew:
    """All clients of a run; what each decides comes from the seed, and what they meet does not."""

    def __init__(self, base: str, seed: int, history: History) -> None:
        self.history = history
        self.issued: list[Issued] = []
        self._base = base
        self._seed = seed
        self._subjects = {
            name: Subject(target, Engine(str(target), target.components, history)) for name, target in TARGETS.items()
        }
        self._callers: list[Caller] = []
        self._reporters = [
            *(Reporter(self._caller(name), self._of(names), self._chance(name)) for name, names in _REPORTERS.items()),
            Reporter(self._caller("batch"), self._of(_BATCH), self._chance("batch"), together=True),
        ]
        self._committers = [
            Committer(self._caller(name), self._subjects[name], self._chance(name)) for name in _COMMITTED
        ]
        every = list(self._subjects.values())
        self._askers = [
            Asker(self._caller(name), every, self._chance(name), self.issued)
            for name in (f"asker-{number}" for number in range(_ASKERS))
        ]

    def report(self, threads: ThreadPoolExecutor, stop: threading.Event) -> Iterator["Future[None]"]:
        """Lets those who report go on until they are told to stop."""
        return self._set_out([*self._reporters, *self._committers], threads, stop)

    def ask(self, threads: ThreadPoolExecutor, stop: threading.Event) -> Iterator["Future[None]"]:
        """Lets those who ask go on until they are told to stop."""
        return self._set_out(self._askers, threads, stop)

    def wait_for_all(self, threads: ThreadPoolExecutor) -> Iterator["Future[None]"]:
        """Lets those who ask, each when it has stopped, wait until nothing is undecided."""
        for asker in self._askers:
            yield threads.submit(asker.wait_for_all)

    def settle(self) -> None:
        """Has all that came in processed and reported, so that every token of a living epoch must be complete."""
        settled: set[str] = set()
        for reporter in self._reporters:
            for subject in reporter.subjects:
                if subject.target.name not in settled:
                    settled.add(subject.target.name)
                    _insist(partial(reporter.settle, subject))
        for committer in self._committers:
            _insist(committer.settle)

    def check_all(self, threads: ThreadPoolExecutor, stop: threading.Event) -> Iterator["Future[None]"]:
        """Checks every token ever acknowledged, until each answer is known."""
        for number, asker in enumerate(self._askers):
            yield threads.submit(asker.check_each, self.issued[number::_ASKERS], stop)

    def close(self) -> None:
        """Gives up all connections."""
        for caller in self._callers:
            caller.close()

    @property
    def size(self) -> int:
        """How many threads it takes."""
        return len(self._reporters) + len(self._committers) + len(self._askers)

    def _set_out(
        self, clients: Iterable[Client], threads: ThreadPoolExecutor, stop: threading.Event
    ) -> Iterator["Future[None]"]:
        for client in clients:
            yield threads.submit(keep_on, client, self._chance("pauses"), stop)

    def _of(self, names: tuple[str, ...]) -> list[Subject]:
        return [self._subjects[name] for name in names]

    def _chance(self, name: str) -> random.Random:
        return random.Random(f"{self._seed}/{name}")

    def _caller(self, name: str) -> Caller:
        self._callers.append(Caller(self._base, self.history, name))
        return self._callers[-1]


def _insist(settle: Callable[[], bool]) -> None:
    """Until it was accepted so many times in a row."""
    deadline, accepted = time.monotonic() + _PATIENCE, 0
    while accepted < _SETTLED:
        assert time.monotonic() < deadline, "the server does not come back"
        accepted = accepted + 1 if settle() else 0
        if not accepted:
            time.sleep(_RETRY)
