"""What nginx answers by itself: always the one shape of an error, and what a client that asks too much gets."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from app.api.body import MAX_BODY
from tests.deploy.front import Front
from tests.deploy.upstream import Answer, Request, Upstream
from tests.nginx import nginx
from tests.test_headers import CONFINING

LONG = "x" * 9000


def send(front: Front, method: str, path: str = "/v0/probe", **headers: str) -> requests.Response:
    return front.request(method, path, **headers)


REFUSALS: dict[str, tuple[int, str, Callable[[Front], requests.Response]]] = {
    "a body too large": (
        413,
        "RequestEntityTooLarge",
        lambda front: requests.put(front.base + "/v0/probe", data=b"x" * (MAX_BODY + 1), timeout=10),
    ),
    "a body too large that does not tell": (
        413,
        "RequestEntityTooLarge",
        lambda front: requests.put(front.base + "/v0/probe", data=iter([b"x" * MAX_BODY, b"x"]), timeout=10),
    ),
    "a header too large": (431, "RequestHeaderFieldsTooLarge", lambda front: send(front, "GET", X_Long=LONG)),
    "headers too large in all": (
        431,
        "RequestHeaderFieldsTooLarge",
        lambda front: send(front, "GET", **{f"X_{number}": "x" * 7000 for number in range(6)}),
    ),
    "a request line too long": (414, "RequestURITooLong", lambda front: send(front, "GET", f"/v0/{LONG}")),
    "a path that climbs out": (400, "BadRequest", lambda front: send(front, "GET", "/%2e%2e/x")),
    "nginx's own page": (404, "NotFound", lambda front: send(front, "GET", "/~error")),
    "TRACE": (405, "MethodNotAllowed", lambda front: send(front, "TRACE")),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_has_the_shape_of_all_errors(server: Upstream, front: Front, kind: str) -> None:
    status, code, refused = REFUSALS[kind]
    answer = refused(front)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    is_error(answer)
    assert not server.seen


def test_the_largest_request_that_the_server_takes_reaches_it(server: Upstream, front: Front) -> None:
    path = "/v0/" + "x" * (8180 - len("PUT /v0/ HTTP/1.1\r\n"))
    answer = requests.put(front.base + path, data=b"x" * MAX_BODY, headers={"X-Long": "x" * 8000}, timeout=10)
    assert answer.status_code == 200
    assert [(request.path, len(request.body)) for request in server.seen] == [(path, MAX_BODY)]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503, 504])
def test_the_servers_own_refusals_are_not_touched(server: Upstream, front: Front, status: int) -> None:
    headers = (("Content-Type", "application/json"), ("Retry-After", "5"), ("WWW-Authenticate", 'Bearer realm="x"'))
    server.answer = lambda _request: Answer(status=status, headers=headers, body=b'{"message": "as it is"}')
    answer = front.get("/v0/probe")
    assert (answer.status_code, answer.text) == (status, '{"message": "as it is"}')
    assert {name: answer.headers[name] for name, _ in headers} == dict(headers)


def test_without_a_server_it_is_503_and_worth_a_retry(directory: Path) -> None:
    with nginx(directory, directory / "none.sock") as base:
        for method, path in [("GET", "/v0/config"), ("PUT", "/v0/probe"), ("POST", "/v0/probe")]:
            answer = requests.request(method, base + path, timeout=10)
            assert (answer.status_code, answer.json()["error_code"]) == (503, "ServiceUnavailable")
            assert answer.headers["Retry-After"] == "1"
            is_error(answer)
        assert requests.head(base, timeout=10).status_code == 503


def test_a_server_that_goes_away_or_is_too_slow_is_503_and_asked_only_once(server: Upstream, directory: Path) -> None:
    def drop(request: Request) -> Answer:
        return Answer(silent=request.path != "/v0/probe", seconds=0 if request.path == "/v0/gone" else None)

    server.answer = drop
    with nginx(directory, directory / "server.sock", {"proxy_read_timeout 70s;": "proxy_read_timeout 1s;"}) as base:
        for method in ("GET", "PUT", "DELETE", "POST"):
            for path in ("/v0/gone", "/v0/slow"):
                requests.get(base + "/v0/probe", timeout=10)  # leaves a connection to the server, which nginx takes
                answer = requests.request(method, base + path, timeout=10)
                assert (answer.status_code, answer.json()["error_code"]) == (503, "ServiceUnavailable")
    assert Counter(request.path for request in server.seen) == {"/v0/probe": 8, "/v0/gone": 4, "/v0/slow": 4}


def test_who_asks_too_much_is_told_to_slow_down(server: Upstream, directory: Path) -> None:
    limits = {"rate=500r/s": "rate=1r/s", "burst=1000 ": "burst=5 "}
    with nginx(directory, directory / "server.sock", limits) as base:
        answers = [requests.get(base + "/v0/probe", timeout=10) for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) >= 12 - 6 - 3
    for answer in refused:
        assert (answer.status_code, answer.json()["error_code"]) == (429, "TooManyRequests")
        assert answer.headers["Retry-After"] == "1"
        is_error(answer)
    assert len(server.seen) == 12 - len(refused)


def test_a_credential_has_its_own_limit_however_it_is_written(server: Upstream, directory: Path) -> None:
    limits = {"rate=1000r/s": "rate=1r/m", "burst=2000 ": "burst=2 "}
    with nginx(directory, directory / "server.sock", limits) as base:
        front = Front(base=base, directory=directory)
        written = ["Bearer one", "bearer one", "BEARER   one", "Bearer one  ", "Bearer one\t", "Bearer \tone"]
        statuses = [front.get("/v0/probe", Authorization=value).status_code for value in written]
        assert statuses == [200, 200, 200, 429, 429, 429]
        assert front.get("/v0/probe", Authorization="Bearer two").status_code == 200
        assert [requests.get(base, timeout=10).status_code for _ in range(5)] == [200] * 5, "nor has no credential"


@pytest.mark.parametrize(
    ("limit", "key"),
    [
        ("limit_conn open_by_address 500;", "tmk_one"),
        ("limit_conn open_by_credential 1000;", "tmk_one"),
        ("limit_conn open_by_credential 1000;", f"{'eyJ' * 300}.{'payload' * 100}.{'Signature' * 38}"),
    ],
)
def test_so_many_requests_at_once_and_no_more(server: Upstream, directory: Path, limit: str, key: str) -> None:
    def held(_request: Request) -> Answer:
        time.sleep(1)
        return Answer()

    server.answer = held
    with nginx(directory, directory / "server.sock", {limit: f"{limit.rpartition(' ')[0]} 2;"}) as base:
        front = Front(base=base, directory=directory)
        with ThreadPoolExecutor(6) as clients:
            answers = list(clients.map(lambda _: front.get("/v0/probe", key), range(6)))
    assert Counter(answer.status_code for answer in answers) == {200: 2, 429: 4}


def is_error(answer: requests.Response) -> None:
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(answer.headers["X-Request-ID"]) == 32
    assert answer.headers["Server"] == "nginx", "without its version"
    assert CONFINING.items() <= answer.headers.items()
    body = answer.json()
    assert list(body) == ["message", "error_code", "details"]
    assert (type(body["message"]), body["details"]) == (str, None)
