"""Secrets are sent everywhere that a client, or an operator, can put one, and are found nowhere in the log.

The log is as talkative as it can be, and what is sent is refused, answered, and answered by a database that is away.
"""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.serving import CONNECTOR, TIDEMARK, Server, free_port
from tests.tenants import add_key

SECRET = "s3cretOfSomebody"  # of letters and digits, so that it is itself however it is quoted
JWT = f"eyJhbGciOiJSUzI1NiJ9.{SECRET}.c2lnbmF0dXJl"
STATUS = "/v0/pipelines/demo/completion_status"
HEADERS = (
    *("Cookie", "Referer", "User-Agent", "Feldera-Tenant", "Prefer", "If-None-Match", "X-Request-ID", "Last-Event-ID"),
    *("X-Forwarded-For", "Forwarded", "X-Api-Key", "Origin", "Access-Control-Request-Method"),
)
WRITES = (
    ("PUT", f"{CONNECTOR}/stats"),
    ("POST", "/v0/pipelines/demo/reports"),
    ("POST", "/v0/api_keys"),
    ("POST", "/v0/completion_status"),
    (SECRET.upper(), "/healthz"),
)
HOSTILE = f"\r\n\x1b[31m{SECRET}\u2028\x9b2J"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="module")
def url(database_url: str) -> str:
    """The database's, with a password, which a socket on this machine does not ask for."""
    return make_url(database_url).set(password=SECRET).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def server(url: str, log: Path) -> Iterator[Server]:
    settings = {"DATABASE_URL": url, "ALLOW_UNSAFE_DATABASE": "1", "AUTH_PROVIDER": "api-key", "WORKERS": "1"}
    server = Server(settings | {"LOG_LEVEL": "debug", "CORS_ORIGINS": "https://app.example.org"}, log=log)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def key(engine: sa.Engine) -> str:
    with engine.begin() as connection:
        return add_key(connection, "secrets")


def send_everywhere(base: str, key: str) -> str:
    """Sends secrets in every place of a request; answers a real token, if there is one."""
    token = send_well(base, key)
    everywhere = dict.fromkeys(HEADERS, SECRET)
    with requests.Session() as session:
        for path in paths(token):
            for credential in (f"Bearer {key}", f"Bearer tmk_{SECRET}", f"Bearer {JWT}", f"{SECRET} {key}"):
                session.get(base + path, headers=everywhere | {"Authorization": credential}, timeout=20)
        own = everywhere | {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        for body in bodies():
            for method, path in WRITES:
                session.request(method, base + path, data=body, headers=own | {"If-Match": f'"{SECRET}"'}, timeout=20)
    return token


def send_well(base: str, key: str) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    with suppress(requests.JSONDecodeError, KeyError):
        version = 0
        while version < 3:
            report = {"position": {"received": 1, "completed": 1}, "fatal_error": SECRET}
            conditions = headers | {"If-Match": f'"{version}"'}
            requests.put(f"{base}{CONNECTOR}/stats", json=report, headers=conditions, timeout=20)
            version += 1
        requests.post(f"{base}/v0/api_keys", json={"name": SECRET}, headers=headers, timeout=20)
        answer = requests.get(f"{base}{CONNECTOR}/completion_token", headers=headers, timeout=20)
        return str(answer.json()["token"])
    return f"ct1_{SECRET}"


def paths(token: str) -> Iterator[str]:
    hostile = quote(HOSTILE)
    yield from (f"{STATUS}?token={token}", f"{STATUS}?token={token}&wait=0.1", f"{STATUS}?token={SECRET}&wait={SECRET}")
    yield from (f"/v0/completion_tokens/{token}", f"/v0/completion_tokens/{SECRET}", f"/v0/api_keys/{SECRET}")
    yield from (
        f"/v0/{SECRET}",
        f"/{hostile}?{hostile}",
        f"/v0/pipelines/{SECRET}",
        f"/v0/connectors?{SECRET}={SECRET}",
    )
    yield from (
        f"/v0/pipelines/{hostile}/stats",
        f"/v0/events?last_event_id={SECRET}",
        f"/v0/connectors?cursor={SECRET}",
    )
    yield f"{CONNECTOR.replace('orders', quote(chr(34) + SECRET + chr(34), safe=''))}/stats"


def bodies() -> Iterator[bytes]:
    yield from (SECRET.encode(), f'{{"{SECRET}"'.encode(), json.dumps({SECRET: SECRET}).encode())
    yield from (json.dumps([SECRET, HOSTILE]).encode(), f'"\xff{SECRET}"'.encode("latin-1"), b"[" * 100_000)
    yield json.dumps({"name": HOSTILE, "role": SECRET, "tokens": [SECRET], "position": {"received": SECRET}}).encode()
    yield json.dumps([{"table": SECRET, "connector": HOSTILE, "if_match": SECRET}]).encode()


def send_what_is_no_request(port: int, key: str) -> None:
    request = f"GET /{SECRET} HTTP/1.1\r\nAuthorization: Bearer {key}\r\nHost: x\r\n"
    for broken in (
        f"{SECRET}\r\n\r\n",
        f"{request}{SECRET}\r\n\r\n",
        f"{request}Expect: {SECRET}\r\n\r\n",
        f"{request}Content-Length: {SECRET}\r\n\r\n",
        f"{request}Transfer-Encoding: {SECRET}\r\n\r\n",
        request.replace("HTTP/1.1", f"HTTP/{SECRET}") + "\r\n",
        f"{request}X: {'x' * 9000}\r\n\r\n",
        f"{request}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{SECRET}",
    ):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(broken.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


def hold_no_secret(log: Path, *secrets: str) -> list[dict[str, object]]:
    """The log's lines: each is an object, and none holds a secret, in whatever case."""
    written = log.read_bytes()
    assert written.isascii()
    assert b"\x1b" not in written
    for secret in (SECRET, *secrets):
        assert not [line for line in written.splitlines() if secret.lower().encode() in line.lower()]
    return [json.loads(line) for line in written.splitlines()]


def test_no_secret_that_is_sent_is_in_the_log(server: Server, key: str, log: Path) -> None:
    token = send_everywhere(server.base, key)
    assert len(token) == 56, "a real one"
    send_what_is_no_request(int(server.environment["PORT"]), key)
    lines = hold_no_secret(log, key, key.split("_")[2], token, token.removeprefix("ct1_"))
    assert {line["status"] for line in lines if line["event"] == "request"} >= {200, 201, 202, 400, 401, 404, 405}
    assert "secrets" in {line.get("tenant") for line in lines}
    assert all(len(str(line["request_id"])) == 32 for line in lines if line["event"] == "request")


def test_nor_is_the_password_of_a_database_that_is_away(url: str) -> None:
    away = make_url(url).set(host="127.0.0.1", port=free_port(), query={}).render_as_string(hide_password=False)
    environment = {"DATABASE_URL": away, "PORT": str(free_port()), "LOG_LEVEL": "debug", "REQUEST_TIMEOUT": "0.5"}
    for command in ("serve", "db check", "db upgrade"):
        done = subprocess.run([TIDEMARK, *command.split()], env=environment, capture_output=True, timeout=60)
        assert done.returncode != 0
        assert b"Traceback" not in done.stderr
        assert SECRET.encode() not in done.stdout + done.stderr
