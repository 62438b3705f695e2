"""The worker process, over the wire: what it refuses before the application hears of it, and how it is replaced."""

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import flask_swagger_ui
import pytest
import requests

from tests.robustness.load import under_load
from tests.serving import CONNECTOR, Server

SETTINGS = Path(__file__).parents[1] / "deploy" / "gunicorn.conf.py"
ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"
SECRET = "ct1_djaxxyrm26tl6csiypn2pqkaqahzptjdk4d2vn6vlgj4c4g3oajq"
RECYCLED_AFTER = 150  # requests


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="module")
def server(database_url: str, log: Path) -> Iterator[Server]:
    server = Server({"DATABASE_URL": database_url, "ALLOW_UNSAFE_DATABASE": "1"}, log=log)
    try:
        yield server
    finally:
        server.stop()


def exchange(server: Server, request: bytes) -> bytes:
    """All that is answered to it, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", int(server.environment["PORT"])), timeout=20) as connection:
        connection.sendall(request)
        return connection.makefile("rb").read()


HEAD = b"GET /v0/pipelines/demo/completion_status?token=" + SECRET.encode() + b" HTTP/1.1\r\nHost: x\r\n"
REFUSED = {
    "no request at all": (b"\x16\x03\x01 not HTTP " + SECRET.encode() + b"\r\n\r\n", 400, "BadRequest"),
    "a version of the future": (HEAD.replace(b"HTTP/1.1", b"HTTP/9.1") + b"\r\n", 400, "BadRequest"),
    "a header without a name": (HEAD + b": x\r\n\r\n", 400, "BadRequest"),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "BadRequest"),
    "a line too long": (HEAD.replace(b"demo", b"d" * 9000) + b"\r\n", 414, "RequestURITooLong"),
    "too many headers": (HEAD + b"X: y\r\n" * 100 + b"\r\n", 431, "RequestHeaderFieldsTooLarge"),
    "a header too long": (HEAD + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431, "RequestHeaderFieldsTooLarge"),
    "an expectation nobody meets": (HEAD + b"Expect: the-unexpected\r\n\r\n", 417, "ExpectationFailed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_never_reaches_the_application_is_refused_like_all_else(server: Server, what: str) -> None:
    request, status, code = REFUSED[what]
    head, _, body = exchange(server, request).partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1.1 %d \S.*\r\nContent-Type: application/json\r\n" % status, head), head
    told = json.loads(body)
    assert list(told) == ["message", "error_code", "details"]
    assert (told["error_code"], told["details"]) == (code, None)
    assert b"Content-Length: %d\r\nConnection: close" % len(body) in head


def test_a_coding_that_nobody_knows_is_refused(server: Server) -> None:
    answer = exchange(server, HEAD + b"Transfer-Encoding: nonsense\r\n\r\n")
    # RFC 9112 §6.1: 501, if the parser tells it apart; gunicorn_h1c does from 0.6.12 on.
    assert re.match(rb"HTTP/1.1 (400|501) ", answer)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error_code"] in ("BadRequest", "NotImplemented")


def test_no_log_holds_what_was_sent(server: Server, log: Path) -> None:
    for request, *_ in REFUSED.values():
        exchange(server, request)
    server.get("/healthz")
    assert SECRET not in log.read_text()


def test_answers_with_and_without_a_body_are_whole_on_a_kept_connection(server: Server) -> None:
    stats = f"{server.base}{CONNECTOR}-{uuid4().hex}/stats"  # others use that database
    with requests.Session() as session:
        for version in range(3):
            report = {"position": {"received": 1, "completed": 1}}
            headers = {"If-Match": f'"{version}"'}
            answer = session.put(stats, json=report, headers=headers, timeout=10)
            assert (answer.status_code, answer.headers["ETag"]) == (201 if version == 0 else 204, f'"{version + 1}"')
            assert session.head(stats, timeout=10).content == b""
            read = session.get(stats, timeout=10)
            assert read.json()["recorded"]["version"] == version + 1
        for _ in range(2):
            page = session.get(f"{server.base}/docs/swagger-ui.css", timeout=10)
            assert page.content == (ASSETS / "swagger-ui.css").read_bytes()


def test_a_worker_that_is_recycled_fails_nobody(clone: str) -> None:
    """The settings recycle after a million requests; here it is soon."""
    soon = ["--max-requests", str(RECYCLED_AFTER), "--max-requests-jitter", "50"]
    command = [sys.executable, "-P", "-m", "gunicorn", "--config", str(SETTINGS), *soon]
    server = Server({"DATABASE_URL": clone, "ALLOW_UNSAFE_DATABASE": "1", "REQUEST_TIMEOUT": "30"}, command)
    try:
        seen = {worker.pid for worker in server.workers()}
        with under_load(server.base, 8) as load:
            while len(seen) < 6:
                seen |= {worker.pid for worker in server.workers()}
        failed = [call for call in load.calls() if call.status not in {200, 201, 202, 204}]
        assert not failed, failed[:5]
    finally:
        server.stop()
