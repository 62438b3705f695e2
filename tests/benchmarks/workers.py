"""What a worker holds in memory, run after run."""

from collections.abc import Callable, Sequence

from tests.benchmarks.load import Mix, wrk
from tests.benchmarks.servers import Server

_RUNS = 6  # at the first ones, what is kept fills up


def resident_megabytes(
    server: Server, mixes: Sequence[Mix], before: Callable[[], None], seconds: float, runs: int = _RUNS
) -> list[float]:
    """Of the server's largest worker, after each run of all the mixes; ``before`` every run."""
    found = []
    for run in range(runs):
        before()
        for requests in mixes:
            wrk(server.base, requests, 2 * seconds, seed=run)
        workers = [worker for root in server.roots for worker in root.children()]
        found.append(max(worker.memory_info().rss for worker in workers) / 1e6)
    return found
