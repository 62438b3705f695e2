"""Slow clients cost nginx a little memory, and the server behind it nothing."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.front import Front
from tests.deploy.upstream import STATUS, Answer, Request, Upstream
from tests.nginx import nginx
from tests.serving import until

SLOW = 250
PATIENT = {f"client_{part}_timeout 10s": f"client_{part}_timeout 60s" for part in ("header", "body")}
"""So that none of them is given up while a test runs, however slow the machine."""

HEAD = b"PUT /v0/slow HTTP/1.1\r\nHost: tidemark\r\n"


def test_fast_clients_are_answered_while_slow_ones_send_and_the_server_knows_of_none(
    server: Upstream, directory: Path
) -> None:
    body = HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 10
    with nginx(directory, directory / "server.sock", PATIENT) as base:
        front = Front(base=base, directory=directory)
        with front.many(SLOW, HEAD) as heads, front.many(SLOW, body) as bodies:
            assert {front.get("/v0/fast").status_code for _ in range(100)} == {200}
            assert front.unanswered([*heads, *bodies]), "all of them were there all the time"
            for connection in (heads[0], bodies[0]):
                connection.sendall(b"x")
    assert {request.path for request in server.seen} == {"/v0/fast"}


def test_clients_too_slow_are_given_up(server: Upstream, directory: Path) -> None:
    hurried = {"header_timeout 10s": "header_timeout 1s", "body_timeout 10s": "body_timeout 1s"}
    with nginx(directory, directory / "server.sock", hurried) as base:
        front = Front(base=base, directory=directory)
        for sent in (HEAD, HEAD + b"Content-Length: 5\r\n\r\nx"):
            assert front.exchange(sent, seconds=8) == b""
        until(lambda: [line["status"] for line in front.log()] == [408, 408], 10)
    assert not server.seen


def test_a_client_that_reads_slowly_does_not_hold_up_the_server(server: Upstream, front: Front) -> None:
    """nginx takes what the server says at once, and keeps it for the client."""
    server.answer = lambda request: Answer(body=b"x" * (8 << 20 if request.path == "/v0/large" else 1))
    with front.connection() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /v0/large HTTP/1.1\r\nHost: tidemark\r\n\r\n")
        until(lambda: server.answered == 1, 10)
        assert front.get("/v0/fast").status_code == 200


@pytest.mark.parametrize("asked", [STATUS, f"{STATUS}&wait=3"])
def test_equal_requests_for_a_status_do_not_queue(server: Upstream, front: Front, asked: str) -> None:
    together = threading.Barrier(10)

    def wait(_request: Request) -> Answer:
        together.wait(4)  # which fails unless all are there at once
        return Answer(status=202)

    server.answer = wait
    with ThreadPoolExecutor(10) as clients:
        assert [answer.status_code for answer in clients.map(front.get, [asked] * 10)] == [202] * 10


@pytest.mark.parametrize("asked", ["&wait=60 HTTP/1.1\r\n", " HTTP/1.1\r\nPrefer: wait=60\r\n"])
def test_when_one_who_waits_goes_away_the_server_hears_of_it(server: Upstream, front: Front, asked: str) -> None:
    server.answer = lambda _request: Answer(silent=True)
    with front.connection() as connection:
        connection.sendall(f"GET {STATUS}{asked}Host: tidemark\r\n\r\n".encode())
        until(lambda: len(server.seen) == 1, 10)
    until(lambda: server.left == 1, 10)
