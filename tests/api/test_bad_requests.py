"""Headers, paths and queries that mean nothing: refused in JSON, nothing changed, never a 500."""

import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.api.client import FULL, ORDERS, PIPELINE, STATS, Api, refused
from tests.api.conftest import Unchanged


@pytest.fixture
def api(api: Api) -> Api:
    """A client whose tenant has a connector at version 1."""
    assert api.report(FULL, 0).status_code == 201
    return api


@pytest.mark.parametrize(
    "if_match",
    [
        "",
        "*",
        "1",
        'W/"1"',
        '"1',
        '1"',
        '"1", "2"',
        '"1" "1"',
        '""',
        '"01"',
        '"-1"',
        '"+1"',
        '"1.0"',
        '"0x1"',
        '"１"',
        '"' + "9" * 20 + '"',
        '"' + "9" * 5000 + '"',
        "'1'",
    ],
)
def test_an_if_match_that_is_not_one_version_is_refused(api: Api, unchanged: Unchanged, if_match: str) -> None:
    with unchanged():
        body = refused(api.put(json.dumps(FULL), if_match=if_match), 400, "InvalidParam")
    assert body["details"]["error"].startswith("If-Match: ")


@pytest.mark.parametrize("if_match", ['"0"', '"2"', '"9223372036854775807"', '"9999999999999999999"'])
def test_an_if_match_that_is_another_version_is_stale(api: Api, unchanged: Unchanged, if_match: str) -> None:
    with unchanged():
        response = api.put(json.dumps(FULL), if_match=if_match)
        assert refused(response, 412, "PreconditionFailed")["details"] == {"current_version": 1}
    assert response.headers["ETag"] == '"1"'


@pytest.mark.parametrize(("twice", "status"), [("Authorization", 401), ("If-Match", 400), ("Last-Event-ID", 400)])
def test_of_a_header_sent_twice_neither_value_wins(
    api: Api, live_server: str, unchanged: Unchanged, twice: str, status: int
) -> None:
    method, path = ("GET", "/v0/events") if twice == "Last-Event-ID" else ("PUT", STATS)
    headers = api.headers | {"If-Match": '"1"', "Content-Type": "application/json", "Last-Event-ID": "A"}
    connection = HTTPConnection(live_server.removeprefix("http://"), timeout=60)
    with unchanged(), closing(connection):
        connection.putrequest(method, path)
        for name in (*headers, twice):
            connection.putheader(name, headers[name])
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"{}")
        assert connection.getresponse().status == status


BAD_SEGMENTS = {
    "pipeline": [
        "%00",
        "a%00",
        "a%0A",
        "%01",
        "%7F",
        "%FF",
        "%EF%BF%BD",
        "%ED%A0%80",
        "a.b",
        "a%20b",
        "%C3%BC",
        "x" * 64,
    ],
    "table": [
        "%00",
        "a%00",
        "a%09",
        "a%0Ab",
        "%01",
        "%7F",
        "%C2%85",
        "%FF",
        "%EF%BF%BD",
        "%ED%A0%80",
        "%22%22",
        "x" * 256,
    ],
    "connector": ["%00", "a%00", "a%0A", "%01", "%FF", "%EF%BF%BD", "%ED%A0%80", "a%20b", "%C3%BC", "a%22", "x" * 256],
}
ROUTES: list[tuple[str, str, str, Any]] = [
    ("pipeline", "GET", "/v0/pipelines/{}", None),
    ("pipeline", "PUT", "/v0/pipelines/{}", {"deployment_status": "Running"}),
    ("pipeline", "GET", "/v0/pipelines/{}/stats", None),
    ("pipeline", "GET", "/v0/pipelines/{}/metrics", None),
    ("pipeline", "POST", "/v0/pipelines/{}/reports", []),
    ("pipeline", "GET", "/v0/pipelines/{}/completion_status?token=x", None),
    ("pipeline", "PUT", "/v0/pipelines/{}/tables/orders/connectors/billing/stats", {}),
    *(
        (segment, method, path, body)
        for segment, connector in (
            ("table", f"{PIPELINE}/tables/{{}}/connectors/billing"),
            ("connector", f"{PIPELINE}/tables/orders/connectors/{{}}"),
        )
        for method, path, body in (
            ("GET", f"{connector}/stats", None),
            ("PUT", f"{connector}/stats", {}),
            ("DELETE", connector, None),
            ("GET", f"{connector}/completion_token", None),
        )
    ),
]


@pytest.mark.parametrize(("segment", "method", "path", "body"), ROUTES)
def test_a_bad_name_in_a_path_is_refused_by_its_segment(
    api: Api, unchanged: Unchanged, segment: str, method: str, path: str, body: Any
) -> None:
    with unchanged():
        for name in BAD_SEGMENTS[segment]:
            response = api.request(method, path.format(name), json=body, headers={"If-Match": '"0"'})
            error = refused(response, 400, "InvalidParam")
            assert error["details"]["error"].startswith(f"{segment}: "), (name, error)


@pytest.mark.parametrize("name", ["%00", "a%00b", "%FF", "%ED%A0%80", "%0A", "x" * 10_000, "'; DROP TABLE api_key"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_api_key_of_an_impossible_name_is_unknown(api: Api, unchanged: Unchanged, method: str, name: str) -> None:
    with unchanged():
        refused(api.request(method, f"/v0/api_keys/{name}"), 404, "UnknownApiKey")


@pytest.mark.parametrize(
    "query",
    [
        *("", "?token", "?token=", "?token=%00", "?token=%FF", "?token=ct1_"),
        "?token=ct1_" + "a" * 52,  # of no UUIDv7
        "?token=ct1_" + "a" * 51 + "1",
        "?token=CT1_" + "A" * 52,
        "?token=ct1_" + "a" * 100_000,
        "?token=ct1_" + "a" * 52 + "%0A",
    ],
)
def test_what_is_no_token_is_refused(api: Api, query: str) -> None:
    body = refused(api.get(f"{PIPELINE}/completion_status{query}"), 400, "InvalidParam")
    assert body["details"] == {"error": "token: not a completion token"}


@pytest.mark.parametrize(
    "path",
    [
        f"{PIPELINE}?selector=some",
        "/v0/pipelines?selector=",
        f"{PIPELINE}/metrics?format=json",
        f"{PIPELINE}/stats?include_connector_errors=1",
    ],
)
def test_a_choice_that_there_is_not_is_refused_by_name(api: Api, path: str) -> None:
    name = path.partition("?")[2].partition("=")[0]
    assert refused(api.get(path), 400, "InvalidParam")["details"]["error"].startswith(f"{name}: must be one of ")


@pytest.mark.parametrize(
    "path",
    [
        f"{ORDERS}/",
        f"{STATS}/",
        "//v0/pipelines",
        "/v0/pipelines/",
        "/v0//pipelines",
        "/V0/pipelines",
        "/v0/pipelines/demo/tables/orders",
        f"{PIPELINE}/tables//connectors/billing/stats",
        "/v0/pipelines/a%2Fb",
        "/docs/../etc/passwd",
        "/docs/%2e%2e/__init__.py",
    ],
)
def test_an_unknown_route_is_not_found(api: Api, path: str) -> None:
    refused(api.get(path), 404, "NotFound")
