"""What stands at the head of every answer, over the wire: what confines browsers, and the request's id."""

import re
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping
from email.message import Message
from hashlib import sha256
from http.client import HTTPResponse

import pytest
import requests

from tests.serving import CONNECTOR, Server

CONFINING = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
APP = "https://app.example.org"
TRUSTED = "tidemark.example.org"
STATS = f"{CONNECTOR}-of-headers/stats"  # others use that database


@pytest.fixture(scope="module")
def server(database_url: str) -> Iterator[Server]:
    """On this machine alone, where everybody is administrator."""
    server = Server({"DATABASE_URL": database_url, "ALLOW_UNSAFE_DATABASE": "1", "WORKERS": "1"})
    server.get(STATS)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def configured(database_url: str) -> Iterator[Server]:
    """With a name of its own, and for pages of another."""
    settings = {"AUTH_PROVIDER": "api-key", "TRUSTED_HOSTS": f"{TRUSTED},127.0.0.1", "CORS_ORIGINS": APP}
    server = Server({"DATABASE_URL": database_url, "ALLOW_UNSAFE_DATABASE": "1", "WORKERS": "1"} | settings)
    try:
        yield server
    finally:
        server.stop()


def confined(headers: Mapping[str, str] | Message) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in CONFINING}


def raw(server: Server, request: bytes) -> HTTPResponse:
    """The answer to these bytes."""
    with socket.create_connection(("127.0.0.1", int(server.environment["PORT"])), timeout=20) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection)
        response.begin()
        response.read()
        return response


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", STATS, 201),
        ("GET", STATS, 200),
        ("HEAD", STATS, 200),
        ("GET", f"{CONNECTOR}-none/stats", 404),
        ("POST", STATS, 405),
        ("OPTIONS", STATS, 200),
        ("DELETE", STATS.removesuffix("/stats"), 204),
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 308),
        ("GET", "/docs/swagger-ui.css", 200),
        ("GET", "/v0/events?token=x", 400),
    ],
)
def test_every_answer_confines_browsers_and_has_an_id(server: Server, method: str, path: str, status: int) -> None:
    report = {"json": {"position": {"received": 1, "completed": 1}}, "headers": {"If-Match": '"0"'}}
    given = report if method == "PUT" else {}
    answer = requests.request(method, server.base + path, timeout=20, allow_redirects=False, **given)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert confined(answer.headers) == CONFINING
    assert len(answer.headers["X-Request-ID"]) == 32


def test_a_stream_and_an_answer_without_content_do_too(server: Server) -> None:
    with requests.get(f"{server.base}/v0/events", stream=True, timeout=20) as stream:
        assert confined(stream.headers) == CONFINING
    stats = f"{server.base}{CONNECTOR}-unchanged/stats"
    tag = requests.put(stats, json={}, headers={"If-Match": '"0"'}, timeout=20).headers["ETag"]
    unchanged = requests.get(stats, headers={"If-None-Match": tag}, timeout=20)
    assert (unchanged.status_code, confined(unchanged.headers)) == (304, CONFINING)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /healthz HTTP/1.1\r\nExpect: the-unexpected\r\n\r\n", 417),
    ],
)
def test_so_does_what_the_application_never_hears_of(server: Server, request_: bytes, status: int) -> None:
    answer = raw(server, request_)
    assert (answer.status, answer.headers["Cache-Control"]) == (status, "no-store")
    assert confined(answer.headers) == CONFINING
    assert len(answer.headers["X-Request-ID"]) == 32


def test_the_page_of_the_documentation_may_do_what_it_needs(server: Server) -> None:
    page = server.get("/docs/")
    policies = page.raw.headers.getlist("Content-Security-Policy")
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; ")
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policies[0]
    others = {name: value for name, value in CONFINING.items() if name != "Content-Security-Policy"}
    assert others.items() <= dict(page.headers).items()


@pytest.mark.parametrize("given", ["0123456789abcdef", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "A" * 64])
def test_a_valid_id_of_a_request_is_kept(server: Server, given: str) -> None:
    answer = requests.get(f"{server.base}/healthz", headers={"X-Request-ID": given}, timeout=20)
    assert answer.raw.headers.getlist("X-Request-ID") == [given]


@pytest.mark.parametrize("given", ["", "short", "g" * 32, "a" * 65, "ct1_" + "a" * 52, "a" * 31 + "\xaa", "ä" * 32])
def test_any_other_is_replaced(server: Server, given: str) -> None:
    headers = {"X-Request-ID": given.encode()}
    answers = [requests.get(f"{server.base}/healthz", headers=headers, timeout=20) for _ in range(2)]
    made = {answer.headers["X-Request-ID"] for answer in answers}
    assert len(made) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)


def test_two_ids_are_none(server: Server) -> None:
    one = b"X-Request-ID: " + b"a" * 32 + b"\r\n"
    assert raw(server, b"GET /healthz HTTP/1.1\r\n" + one * 2 + b"\r\n").headers["X-Request-ID"] != "a" * 32


def test_requests_on_one_connection_have_ids_of_their_own(server: Server) -> None:
    with requests.Session() as session:
        made = [session.get(f"{server.base}/healthz", timeout=20).headers["X-Request-ID"] for _ in range(20)]
    assert len(set(made)) == 20


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "", "a:b:c"])
def test_a_page_that_points_its_own_name_here_gets_nothing(server: Server, host: str) -> None:
    """DNS rebinding, where everybody who gets in is administrator."""
    answer = raw(server, f"GET /v0/config HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.status == 400
    assert raw(server, f"GET /healthz HTTP/1.1\r\nHost: {host or 'x'}\r\n\r\n".encode()).status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"])
def test_this_machines_own_names_will_do(server: Server, host: str) -> None:
    assert raw(server, f"GET /v0/config HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status == 200


def test_a_host_is_looked_at_each_time_also_where_a_path_is_known(configured: Server) -> None:
    asked = [TRUSTED, "other.example.org", f"{TRUSTED}:443", "tidemark.example.orga", TRUSTED.upper()]
    head = "GET /config/authentication HTTP/1.1\r\nHost: {}\r\n\r\n"
    assert [raw(configured, head.format(host).encode()).status for host in asked] == [200, 400, 200, 400, 200]


def test_a_redirect_names_no_host(server: Server) -> None:
    """Whatever somebody says of the host and the scheme, the client stays where it is."""
    forged = b"X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nScript-Name: /x\r\nSCRIPT_NAME: /docs\r\n"
    answer = raw(server, b"GET /docs?a=b HTTP/1.1\r\nHost: localhost\r\n" + forged + b"\r\n")
    assert (answer.status, answer.headers["Location"]) == (308, "/docs/?a=b")


def asked_across(server: Server, method: str, origin: str, **headers: str) -> requests.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, server.base + STATS, headers={"Origin": origin} | names, timeout=20)


def allowed(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


def test_no_page_of_another_origin_may_use_it(server: Server) -> None:
    for method in ("GET", "OPTIONS"):
        answer = asked_across(server, method, APP, Access_Control_Request_Method="PUT")
        assert not allowed(answer)
        assert "Vary" not in answer.headers


def test_unless_it_is_configured(configured: Server) -> None:
    answer = asked_across(configured, "GET", APP)
    assert (answer.status_code, answer.headers["Vary"]) == (401, "Origin")
    assert allowed(answer)["Access-Control-Allow-Origin"] == APP
    assert "WWW-Authenticate" in allowed(answer)["Access-Control-Expose-Headers"]
    preflight = asked_across(configured, "OPTIONS", APP, Access_Control_Request_Method="PUT")
    assert (preflight.status_code, preflight.content, preflight.headers["Cache-Control"]) == (204, b"", "no-store")
    assert "PUT" in allowed(preflight)["Access-Control-Allow-Methods"]
    assert {"Authorization", "If-Match"} <= set(allowed(preflight)["Access-Control-Allow-Headers"].split(", "))
    assert confined(preflight.headers) == CONFINING
    for told in (answer, preflight):
        assert "Access-Control-Allow-Credentials" not in told.headers


@pytest.mark.parametrize("origin", ["null", "http://app.example.org", f"{APP}.evil.example", f"{APP}:444", "*"])
def test_and_then_for_nobody_else(configured: Server, origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        answer = asked_across(configured, method, origin, Access_Control_Request_Method="PUT")
        assert not allowed(answer)
        assert (answer.status_code, answer.headers["Vary"]) == (401, "Origin")
