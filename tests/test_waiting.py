"""Those who wait, over the wire: what they cost others, and what becomes of them when somebody goes away."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
import requests

from app.services.waiters import RECHECK_SECONDS
from tests.robustness.cluster import Cluster, cluster
from tests.serving import CONNECTOR, Server, until

STATUS = "/v0/pipelines/demo/completion_status"
PLACES = 16  # for those who wait
SETTINGS = {"WORKERS": "1", "WORKER_CONNECTIONS": "20", "MAX_WAITS": str(PLACES), "ALLOW_UNSAFE_DATABASE": "1"}
LONG = 50  # seconds; nobody here is to wait so long

Waits = list[Future[requests.Response]]


@contextmanager
def serving(url: str, **settings: str) -> Iterator[Server]:
    """One process, on a fresh database."""
    server = Server({"DATABASE_URL": url} | SETTINGS | settings)
    try:
        report(server)
        yield server
    finally:
        server.stop()


def report(server: Server) -> None:
    """The next report on the one connector: all is processed."""
    stats = server.get(f"{CONNECTOR}/stats")
    server.report(stats.json()["recorded"]["version"] if stats.ok else 0, 1, 1)


@contextmanager
def waiting(server: Server, token: str, number: int) -> Iterator[Waits]:
    """So many who wait for the token, all asleep, none of whom has been answered."""
    url = f"{server.base}{STATUS}?token={token}&wait="

    def ask() -> requests.Response:
        while True:  # a place may be taken for a moment, by the look below
            answer = requests.get(f"{url}{LONG}", timeout=2 * LONG)
            if answer.status_code != 429:
                return answer

    with ThreadPoolExecutor(number) as pool:
        started = [pool.submit(ask) for _ in range(number)]
        until(lambda: number < PLACES or requests.get(f"{url}0.001", timeout=LONG).status_code == 429)
        time.sleep(0.3)
        assert not any(wait.done() for wait in started)
        yield started


def filling(server: Server, path: str, places: int, stack: ExitStack) -> list[socket.socket]:
    """The connections of those who sleep there, in all places; some come too many, and whoever found none is gone."""
    address, too_many = urlsplit(server.base), 5
    connections = [
        stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=2 * LONG))
        for _ in range(places + too_many)
    ]
    for connection in connections:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    until(lambda: len(_answered(connections)) == too_many)
    late = _answered(connections)
    assert {first_line(connection) for connection in late} == {b"HTTP/1.1 429 TOO MANY REQUESTS"}
    for connection in late:
        connection.close()
    return [connection for connection in connections if connection not in late]


def _answered(connections: list[socket.socket]) -> list[socket.socket]:
    return select.select(connections, [], [], 0)[0]


def first_line(connection: socket.socket) -> bytes:
    return connection.recv(65536).partition(b"\r\n")[0]


def statuses(waits: Waits) -> set[int]:
    return {wait.result().status_code for wait in waits}


def test_sleepers_leave_room_for_others_and_are_all_woken(clone: str) -> None:
    with serving(clone) as server, waiting(server, server.token(), PLACES) as waits:
        for _ in range(50):
            assert server.get("/healthz").status_code == 200
            assert server.get(f"{CONNECTOR}/stats").status_code == 200
        report(server)
        assert not any(wait.done() for wait in waits)
        report(server)
        assert statuses(waits) == {200}
        until(lambda: server.get(f"{STATUS}?token={server.token()}&wait=0.001").status_code == 202)


def test_two_hundred_sleepers_starve_nobody(clone: str) -> None:
    """As many as may, of one process; those who come too late are told so at once, and all others are answered."""
    with serving(clone, WORKER_CONNECTIONS="250", MAX_WAITS="200") as server, ExitStack() as stack:
        path = f"{STATUS}?token={server.token()}&wait={LONG}"
        sleepers = filling(server, path, 200, stack)
        for asked in ("/healthz", "/readyz", f"{CONNECTOR}/stats", "/v0/config") * 25:
            assert server.get(asked).status_code == 200
        with ThreadPoolExecutor(20) as late:
            refused = list(late.map(lambda _: server.get(path), range(40)))
        assert {answer.status_code for answer in refused} == {429}
        assert all("Retry-After" in answer.headers for answer in refused)
        report(server)
        report(server)
        assert {first_line(sleeper) for sleeper in sleepers} == {b"HTTP/1.1 200 OK"}


def test_one_who_hangs_up_makes_room_for_another(clone: str) -> None:
    with serving(clone, MAX_WAITS="1") as server, ExitStack() as stack:
        path = f"{STATUS}?token={server.token()}&wait="
        (connection,) = filling(server, f"{path}{LONG}", 1, stack)
        time.sleep(2.5 * RECHECK_SECONDS)  # whoever has gone is found within one
        assert server.get(f"{path}0.01").status_code == 429, "one who keeps the line open is not forgotten"
        connection.close()
        until(lambda: server.get(f"{path}0.01").status_code == 202)


def test_a_server_that_stops_answers_those_who_wait_as_things_stand(clone: str) -> None:
    with serving(clone) as server, waiting(server, server.token(), PLACES) as waits:
        server.process.terminate()
        assert statuses(waits) == {202}
        assert {str(wait.result().json()["status"]) for wait in waits} == {"inprogress"}
        server.process.wait(20)


FAULTS: dict[str, Callable[[Cluster], object]] = {
    "its sessions are ended": Cluster.terminate_backends,
    "it is stopped": lambda database: database.stop("immediate"),
    "it is killed": Cluster.kill,
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("waiting") / "postgres") as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
def test_what_befalls_the_database_costs_those_who_wait_nothing_but_time(database: Cluster, fault: str) -> None:
    """They learn what is complete only after the fault, long before they would give up, and nobody is told an error."""
    with serving(database.url) as server, waiting(server, server.token(), 8) as waits:
        FAULTS[fault](database)
        if fault != "its sessions are ended":
            database.start()
        until(lambda: server.get("/readyz").status_code == 200)
        report(server)
        report(server)
        until(lambda: all(wait.done() for wait in waits), LONG / 2)
        assert statuses(waits) == {200}
