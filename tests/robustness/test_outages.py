"""The database goes away under load: 503 in time while it lasts, and everything as before soon after."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
import requests

from tests.robustness.cluster import Cluster, cluster
from tests.robustness.load import KINDS, Call, Load, under_load
from tests.serving import Server

CLIENTS = 40
DEADLINE_SECONDS = 5.0  # REQUEST_TIMEOUT's default
SLACK_SECONDS = 2.0  # for a busy machine
RECOVERY_SECONDS = 5.0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("outages") / "postgres") as made:
        yield made


@pytest.fixture(scope="module")
def server(database: Cluster) -> Iterator[Server]:
    server = Server({"DATABASE_URL": database.url})
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Probes:
    """What an orchestrator sees that asks a server how it is, over and over, on a new connection each time."""

    base: str
    alive: list[Call] = field(default_factory=list)
    ready: list[Call] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def probe(self, path: str, calls: list[Call]) -> None:
        while not self.over.wait(0.1):
            began, status = time.monotonic(), None
            with suppress(requests.RequestException):
                status = requests.get(self.base + path, timeout=60).status_code
            calls.append(Call(kind=path, began=began, ended=time.monotonic(), status=status))


@contextmanager
def probed(base: str) -> Iterator[Probes]:
    probes = Probes(base)
    pairs = (("/healthz", probes.alive), ("/readyz", probes.ready))
    threads = [threading.Thread(target=probes.probe, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    try:
        yield probes
    finally:
        probes.over.set()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class Outage:
    """From when to when it surely lasted, when it was over, and what clients and probes saw from before to after."""

    began: float
    ending: float
    over: float
    load: Load
    probes: Probes


def play(server: Server, *, down: Callable[[], object], up: Callable[[], object], seconds: float) -> Outage:
    """Takes the database away from a server under load, and gives it back."""
    with under_load(server.base, CLIENTS) as load, probed(server.base) as probes:
        down()
        began = time.monotonic()
        time.sleep(seconds)
        ending = time.monotonic()
        up()
        over = time.monotonic()
        time.sleep(RECOVERY_SECONDS + 3)
    return Outage(began, ending, over, load, probes)


def test_a_database_that_is_stopped_for_ten_seconds(server: Server, database: Cluster) -> None:
    workers = {worker.pid for worker in server.workers()}
    seen = play(server, down=lambda: database.stop("immediate"), up=database.start, seconds=10)
    refused_in_time(seen)
    normal_again(seen)
    not_ready_but_alive(seen)
    assert {worker.pid for worker in server.workers()} == workers, "it took a restart"


def test_a_database_that_accepts_and_never_answers(server: Server, database: Cluster) -> None:
    workers = {worker.pid for worker in server.workers()}
    seen = play(server, down=database.suspend, up=database.resume, seconds=14)
    refused_in_time(seen)
    normal_again(seen)
    not_ready_but_alive(seen)
    assert {worker.pid for worker in server.workers()} == workers, "it took a restart"


def test_all_sessions_are_ended(server: Server, database: Cluster) -> None:
    ended = []
    seen = play(server, down=lambda: ended.append(database.terminate_backends()), up=lambda: None, seconds=0)
    assert ended[0] >= 2
    assert {call.status for call in seen.load.calls()} <= {200, 201, 202, 204, 412, 503}
    answered_in_time(seen.load.calls())
    normal_again(seen)
    assert {probe.status for probe in seen.probes.alive} == {200}


def answered_in_time(calls: list[Call]) -> None:
    late = [call for call in calls if call.seconds > DEADLINE_SECONDS + SLACK_SECONDS]
    assert not late, late[:5]
    unanswered = [call for call in calls if call.status is None]
    assert not unanswered, unanswered[:5]


def refused_in_time(seen: Outage) -> None:
    """Every request had an answer by its deadline, and each that failed was a 503 that says when to try again."""
    calls = seen.load.calls()
    answered_in_time(calls)
    assert {call.status for call in calls} <= {200, 201, 202, 204, 412, 503}
    refused = [call for call in calls if call.status == 503]
    assert all(int(call.retry_after or 0) >= 1 for call in refused)
    during = [call for call in seen.load.calls(began_after=seen.began) if call.ended < seen.ending]
    assert {call.status for call in during} == {503}
    kinds = Counter(call.kind for call in refused)
    assert len(kinds) == KINDS, f"not every kind of request met the outage: {kinds}"
    print(f"{len(refused)} of {len(calls)} refused, the slowest after {max(c.seconds for c in refused):.1f} s")


def normal_again(seen: Outage) -> None:
    """Some seconds after the end of the outage, no request fails any more."""
    after = seen.load.calls(began_after=seen.over + RECOVERY_SECONDS)
    assert len(after) > CLIENTS
    assert {call.status for call in after} <= {200, 201, 202, 204, 412}
    first = min(call.ended for call in seen.load.calls(began_after=seen.over) if call.status != 503)
    print(f"the first success {first - seen.over:.1f} s after the outage")


def not_ready_but_alive(seen: Outage) -> None:
    assert {probe.status for probe in seen.probes.alive} == {200}
    slow = [probe for probe in seen.probes.alive if probe.seconds > 3]
    assert not slow, f"whoever asks whether it is alive has to wait: {slow[:5]}"
    assert {probe.status for probe in seen.probes.ready if seen.began < probe.began and probe.ended < seen.ending} == {
        503
    }
    assert seen.probes.ready[-1].status == 200
