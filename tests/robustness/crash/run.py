"""One crash run: a cluster, the server on it, clients, and a nemesis, until the time is over or something is found."""

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from tests.robustness.cluster import cluster
from tests.robustness.crash.checker import check
from tests.robustness.crash.crew import Crew
from tests.robustness.crash.history import History
from tests.robustness.crash.nemesis import DECK, Nemesis, plans
from tests.robustness.crash.service import SERVE, Service
from tests.robustness.crash.summary import Summary
from tests.robustness.crash.violation import Fault, Violation

_LOOK_EVERY = 2.0  # seconds, for what is sought
_TELL_EVERY = 10.0
_MOST_TOLD = 5  # violations

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and what is run. The seed repeats what is killed and what the clients decide, not how it interleaves."""

    directory: Path
    seed: int
    seconds: float
    deck: Sequence[str] = DECK
    command: tuple[str, ...] = SERVE
    environment: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, str] = field(default_factory=dict)
    sought: Collection[Fault] = ()  # the run ends as soon as one of these is found


@dataclass(frozen=True, slots=True)
class Result:
    """What a run recorded and what is wrong with that."""

    history: History
    violations: list[Violation]

    def told(self) -> str:
        """The summary and the first violations."""
        lines = [str(Summary.of(self.history)), f"violations: {len(self.violations)}"]
        return "\n".join([*lines, *(str(violation) for violation in self.violations[:_MOST_TOLD])])


def crash_run(setting: Setting, tell: Tell) -> Result:
    """Runs, and checks what came of it; ``tell`` is told how it goes. A failure leaves its history in the directory."""
    history = History()
    with cluster(setting.directory / "postgres", **setting.postgres) as database:
        service = Service(database.url, setting.directory / "server.log", setting.command, setting.environment)
        nemesis = Nemesis(database, service, history, plans(random.Random(f"{setting.seed}/nemesis"), setting.deck))
        crew = Crew(service.base, setting.seed, history)
        try:
            _play(setting, crew, nemesis, tell)
        except BaseException:
            _keep(history, setting.directory, tell)
            raise
        finally:
            crew.close()
            service.stop()
            database.stop("immediate")  # before the cluster is left, which looks at each of its processes
    violations = check(history)
    if violations:
        _keep(history, setting.directory, tell)
    return Result(history, violations)


def _keep(history: History, directory: Path, tell: Tell) -> None:
    file = directory / "history.jsonl"
    history.snapshot().dump(file)
    tell(f"the history is in {file}: python -m tests.robustness.crash check {file}")


def _play(setting: Setting, crew: Crew, nemesis: Nemesis, tell: Tell) -> None:
    with _threads(crew.size + 1) as (threads, calm, quiet, stop):
        raging = threads.submit(nemesis.rage, calm)
        asking, reporting = list(crew.ask(threads, quiet)), list(crew.report(threads, stop))
        found = _watch(setting, crew.history, [raging, *asking, *reporting], tell)
        for end, futures in ((calm, [raging]), (quiet, asking), (stop, reporting)):  # reports end what is waited for
            end.set()
            _join(futures)
        if found:
            return
        tell("all is up again: everything is processed and reported, and every token is checked once more")
        waiting = list(crew.wait_for_all(threads))
        crew.settle()
        _join(waiting)
        stop.clear()
        _join(list(crew.check_all(threads, stop)))


def _join(futures: "Sequence[Future[None]]") -> None:
    """Waits for them. Raises what one of them raised."""
    for future in futures:
        future.result()


@contextmanager
def _threads(number: int) -> Iterator[tuple[ThreadPoolExecutor, Event, Event, Event]]:
    """Threads, and what calms the nemesis and stops those who ask and those who report: all that when it is left."""
    calm, quiet, stop = ends = Event(), Event(), Event()
    with ThreadPoolExecutor(number) as threads:
        try:
            yield threads, calm, quiet, stop
        finally:
            for end in ends:
                end.set()


def _watch(setting: Setting, history: History, busy: "Sequence[Future[None]]", tell: Tell) -> bool:
    """Waits until the time is over; answers whether what is sought was found before. Raises what a thread raised."""
    begin = time.monotonic()
    told = looked = begin
    while (now := time.monotonic()) < begin + setting.seconds:
        for future in busy:
            if future.done():
                future.result()
        if now >= told + _TELL_EVERY:
            told = now
            tell(f"{now - begin:.0f} s: {len(history.calls)} calls, {len(history.kills)} kills")
        if setting.sought and now >= looked + _LOOK_EVERY:
            looked = now
            if any(violation.fault in setting.sought for violation in check(history.snapshot())):
                tell(f"found after {now - begin:.0f} s")
                return True
        time.sleep(0.1)
    return False
