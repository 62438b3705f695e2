"""The worker process, over the wire: what it refuses before the application hears of it, and how it is replaced."""

import json
import re
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import flask_swagger_ui
import psutil
import pytest
import requests
import sqlalchemy as sa

from tests.robustness.load import under_load
from tests.serving import CONNECTOR, TIDEMARK, Server, until

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


def exchange(server: Server, request: bytes, *, ends: bool = False) -> bytes:
    """All that is answered to it, until the server closes the connection; ``ends``: the client sends no more."""
    with socket.create_connection(("127.0.0.1", int(server.environment["PORT"])), timeout=20) as connection:
        connection.sendall(request)
        if ends:
            connection.shutdown(socket.SHUT_WR)
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


PUT = f"PUT {CONNECTOR}/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "a size that is none": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "an extension that is none": CHUNKED + b"2;\x01\r\n{}\r\n0\r\n\r\n",
    "more than the size": CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n",
    "a size that overflows": CHUNKED + b"f" * 8000 + b"\r\n{}\r\n0\r\n\r\n",
    "a trailer that is none": CHUNKED + b"2\r\n{}\r\n0\r\nA B: c\r\n\r\n",
    "chunks cut off": CHUNKED + b"5\r\n{}",
    "a body cut off behind its last brace": PUT + b"Content-Length: 3\r\n\r\n{}",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_body_that_is_malformed_or_cut_off_is_its_senders_fault(server: Server, what: str) -> None:
    answer = exchange(server, MALFORMED[what], ends=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert json.loads(body)["error_code"] in ("BadRequest", "MalformedBody")


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


def test_where_a_request_is_killed_no_answer_to_the_next_is_taken_for_its_own(clone: str, tmp_path: Path) -> None:
    """The settings kill after 30 s; here it is soon, and somebody keeps the request from being answered by then."""
    soon = ["--graceful-timeout", "1"]
    command = [sys.executable, "-P", "-m", "gunicorn", "--config", str(SETTINGS), *soon]
    environment = {"DATABASE_URL": clone, "ALLOW_UNSAFE_DATABASE": "1", "REQUEST_TIMEOUT": "60"}
    server = Server(environment, command, tmp_path / "log")
    get = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    try:
        with ExitStack() as stack:
            engine = sa.create_engine(clone, poolclass=sa.NullPool)
            locking, looking = (stack.enter_context(engine.connect()) for _ in range(2))
            clients = stack.enter_context(ThreadPoolExecutor(1))
            locking.execute(sa.text("LOCK TABLE connector"))
            two = get.format(f"{CONNECTOR}/stats") + get.format("/healthz")
            answer = clients.submit(exchange, server, two.encode())
            until(lambda: bool(looking.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted"))))
            server.process.send_signal(signal.SIGHUP)
            assert answer.result(60) == b""
        assert "Worker graceful timeout" in (tmp_path / "log").read_text()
    finally:
        server.stop()


def test_a_worker_may_open_as_many_files_as_its_connections_are(clone: str) -> None:
    """A thousand connections and what else it needs are more than the 1,024 that systemd gives at first."""
    few = ["sh", "-c", f"ulimit -Sn 256 && exec {TIDEMARK} serve"]
    server = Server({"DATABASE_URL": clone, "ALLOW_UNSAFE_DATABASE": "1", "POOL_SIZE": "7"}, few)
    try:
        limits = [worker.rlimit(psutil.RLIMIT_NOFILE) for worker in server.workers()]
        assert [soft for soft, _ in limits] == [1207, 1207]
        assert {hard for _, hard in limits} == {psutil.Process().rlimit(psutil.RLIMIT_NOFILE)[1]}
    finally:
        server.stop()


WATCHED = """
import gc
from pathlib import Path
from runpy import run_path
globals().update(run_path({settings!r}))
def post_worker_init(worker):
    path = Path({directory!r}, str(worker.pid))
    path.write_text(f"{{gc.get_threshold()[0]}} {{gc.get_freeze_count()}}")
"""


def test_a_worker_seldom_looks_for_garbage_and_never_in_what_it_has_loaded(clone: str, tmp_path: Path) -> None:
    watched = tmp_path / "watched.conf.py"
    watched.write_text(WATCHED.format(settings=str(SETTINGS), directory=str(tmp_path)))
    command = [sys.executable, "-P", "-m", "gunicorn", "--config", str(watched)]
    server = Server({"DATABASE_URL": clone, "ALLOW_UNSAFE_DATABASE": "1"}, command)
    try:
        for worker in server.workers():
            told = tmp_path / str(worker.pid)
            until(lambda: told.exists() and told.read_text() != "")  # noqa: B023 - called at once
            after, frozen = map(int, told.read_text().split())
            assert after == 20_000
            assert frozen > 50_000
    finally:
        server.stop()
