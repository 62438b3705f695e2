"""Alternatives measured in turn, A B A B, and what a request costs each of them."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import psutil

from tests.benchmarks.load import Mix, Run, wrk
from tests.benchmarks.servers import Server

_WARM_SECONDS = 1
_DISTURBING = 0.05  # of the machine, used by others


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How long it is measured."""

    rounds: int
    seconds: float
    days: int  # of history


@dataclass(slots=True)
class Measured:
    """All runs of one alternative."""

    runs: list[Run] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)  # microseconds a request
    database_cpu: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)  # the share of the machine that others used meanwhile

    @property
    def rate(self) -> float:
        """Requests a second: the median of the runs."""
        return statistics.median(run.rate for run in self.runs)

    @property
    def cpu(self) -> float:
        """Microseconds of CPU that a request costs the server and the database together."""
        both = zip(self.server_cpu, self.database_cpu, strict=True)
        return statistics.median(server + database for server, database in both)

    @property
    def disturbed(self) -> int:
        """How many of the runs shared the machine with somebody else."""
        return sum(share > _DISTURBING for share in self.others)

    def to_json(self) -> dict[str, object]:
        return {
            "requests_per_second": self.rate,
            "each_run": [run.rate for run in self.runs],
            "p50_ms": statistics.median(run.p50_ms for run in self.runs),
            "p99_ms": statistics.median(run.p99_ms for run in self.runs),
            "server_cpu_us": statistics.median(self.server_cpu),
            "database_cpu_us": statistics.median(self.database_cpu),
            "used_by_others": self.others,
            "kilo_instructions": _median([run.kilo_instructions for run in self.runs]),
        }


def in_turn(
    servers: Sequence[Server],
    requests: Mix,
    settings: Settings,
    database: psutil.Process,
    before: Callable[[], None] = lambda: None,
) -> dict[str, Measured]:
    """Each server's runs, by its name; ``before`` every run."""
    measured = {server.name: Measured() for server in servers}
    for server in servers:
        wrk(server.base, requests, _WARM_SECONDS, authorization=server.authorization)
    for number in range(settings.rounds):
        for server in servers:
            before()
            _run(server, requests, settings.seconds, number, database, measured[server.name])
    return measured


def _run(
    server: Server, requests: Mix, seconds: float, seed: int, database: psutil.Process, measured: Measured
) -> None:
    def spent() -> list[dict[int, float]]:
        return [_cpu_seconds(server.processes()), _cpu_seconds([database, *database.children()])]

    before, machine = spent(), _Machine()
    watched = [process.pid for process in server.processes()]
    run = wrk(server.base, requests, seconds, seed=seed, authorization=server.authorization, watched=watched)
    of_server, of_database = (_difference(*both) for both in zip(before, spent(), strict=True))
    measured.others.append(machine.others(of_server + of_database))
    measured.runs.append(run)
    measured.server_cpu.append(of_server / run.requests * 1e6)
    measured.database_cpu.append(of_database / run.requests * 1e6)


@contextmanager
def taking() -> Iterator[Callable[[], float]]:
    """Gives what tells how many seconds the block has taken."""
    started, ended = time.monotonic(), [0.0]
    yield lambda: ended[0] - started
    ended[0] = time.monotonic()


class _Machine:
    """What all processors have done since it was made."""

    def __init__(self) -> None:
        self._busy, self._all = _processors()
        self._ours = _own_seconds()

    def others(self, measured: float) -> float:
        """The share of the machine that was neither idle, nor spent on what was measured, nor by us and wrk."""
        busy, everything = _processors()
        others = busy - self._busy - measured - (_own_seconds() - self._ours)
        return max(0.0, others / (everything - self._all))


def _processors() -> tuple[float, float]:
    """Seconds of all processors: busy, and in all."""
    times = psutil.cpu_times()
    everything = sum(times[:8])  # the guests' are in the users'
    return everything - times.idle - times.iowait, everything


def _own_seconds() -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def _cpu_seconds(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """What each has spent so far, by its PID."""
    spent = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # of Postgres', some come and go
            times = process.cpu_times()
            spent[process.pid] = times.user + times.system
    return spent


def _difference(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
