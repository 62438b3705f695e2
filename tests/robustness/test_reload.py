"""Releases and restarts of the server under load: nobody's request is lost to them."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import sqlalchemy as sa

from tests.robustness.load import under_load
from tests.serving import Server, until

CLIENTS = 8
RELOADS = 6
IN_FLIGHT = 12
HURRIED_SECONDS = 20  # gunicorn's graceful time-out is 30
DONE = {200, 201, 202, 204}


@pytest.fixture
def server(clone: str) -> Iterator[Server]:
    # A server for tests may be without fsync; what is served here need not outlive it.
    server = Server({"DATABASE_URL": clone, "ALLOW_UNSAFE_DATABASE": "1", "REQUEST_TIMEOUT": "30"})
    try:
        yield server
    finally:
        server.stop()


def test_no_request_fails_while_workers_are_replaced(server: Server) -> None:
    """HUP every two seconds, as a deployment sends it: new workers take over, the old ones finish what they have."""
    seen = workers(server)
    with under_load(server.base, CLIENTS) as load:
        for _ in range(RELOADS):
            os.kill(server.process.pid, signal.SIGHUP)
            time.sleep(2)
            until(lambda: bool(workers(server) - seen))
            seen.update(workers(server))
    failed = [call for call in load.calls() if call.status not in DONE]
    assert not failed, failed[:5]
    assert all(count > CLIENTS * RELOADS for count in Counter(call.kind for call in load.calls()).values())


def test_requests_in_flight_finish_when_the_server_is_stopped(server: Server, clone: str) -> None:
    server.report(0, received=1, completed=0)
    engine = sa.create_engine(clone, poolclass=sa.NullPool)
    with ThreadPoolExecutor(IN_FLIGHT) as clients, engine.connect() as holder:
        holder.execute(sa.text("LOCK TABLE connector IN ACCESS EXCLUSIVE MODE"))
        answers = [clients.submit(server.get, "/v0/pipelines/demo/stats") for _ in range(IN_FLIGHT)]
        until(lambda: waiting(holder) >= 5)  # as many as have a connection; the others wait for one
        os.kill(server.process.pid, signal.SIGTERM)
        until(lambda: not accepts(server))
        holder.rollback()
        assert [answer.result().status_code for answer in answers] == [200] * IN_FLIGHT
    server.process.wait(30)


def test_a_connection_that_nobody_is_using_holds_up_no_stop_and_no_reload(server: Server) -> None:
    with requests.Session() as idle:
        idle.get(server.base + "/healthz")
        old = workers(server)
        os.kill(server.process.pid, signal.SIGHUP)
        until(lambda: not old & workers(server), HURRIED_SECONDS)
        idle.get(server.base + "/healthz")
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.wait(HURRIED_SECONDS)


def test_a_server_stopped_under_load_finishes_what_it_has_begun(server: Server) -> None:
    with under_load(server.base, CLIENTS) as load:
        stopped = time.monotonic()
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.wait(30)
        time.sleep(0.5)
    begun = load.calls(began_before=stopped)
    assert max(call.ended for call in begun) > stopped, "nothing was in flight"
    failed = [call for call in begun if call.status not in DONE]
    assert not failed, failed[:5]
    assert {call.status for call in load.calls()} <= DONE | {None}, "it answers, or it is not there: no half answers"


def workers(server: Server) -> set[int]:
    return {worker.pid for worker in server.workers()}


def waiting(connection: sa.Connection) -> int:
    """How many sessions wait for a lock."""
    return int(connection.scalars(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")).one())


def accepts(server: Server) -> bool:
    try:
        requests.get(server.base + "/healthz", timeout=5)
    except requests.ConnectionError:
        return False
    return True
