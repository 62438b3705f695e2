"""Bodies that are no report at all: refused in JSON, nothing changed, never a 500."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.api.body import MAX_BODY, MAX_DEPTH
from tests.api.client import FULL, PIPELINE, REPORTS, STATS, Api, changed, refused
from tests.api.conftest import Unchanged

Send = Callable[[Api, bytes], TestResponse]


def as_report(api: Api, body: bytes) -> TestResponse:
    return api.put(body)


def as_batch(api: Api, body: bytes) -> TestResponse:
    return api.request("POST", REPORTS, data=body, content_type="application/json")


def as_pipeline(api: Api, body: bytes) -> TestResponse:
    return api.request("PUT", PIPELINE, data=body, content_type="application/json")


def as_api_key(api: Api, body: bytes) -> TestResponse:
    return api.request("POST", "/v0/api_keys", data=body, content_type="application/json")


SENDERS: list[Send] = [as_report, as_batch, as_pipeline, as_api_key]


@pytest.fixture
def api(api: Api) -> Api:
    """A client whose tenant has a connector at version 1."""
    assert api.report(FULL, 0).status_code == 201
    return api


DEEP = MAX_DEPTH + 2
NOT_JSON = {
    "empty": b"",
    "blank": b" \n",
    "cut off": b'{"paused": tr',
    "two values": b"{} {}",
    "trailing comma": b'{"paused": true,}',
    "single quotes": b"{'paused': true}",
    "a comment": b"{} // none",
    "NaN": b'{"interval_seconds": NaN}',
    "Infinity": b'{"interval_seconds": Infinity}',
    "-Infinity": b'{"position": {"received": -Infinity, "completed": 0}}',
    "too large a float": b'{"interval_seconds": 1e999}',
    "an integer of 5,000 digits": b'{"metrics": {"total_bytes": ' + b"9" * 5000 + b"}}",
    "a member twice": b'{"paused": true, "paused": false}',
    "a member twice, deep": b'{"position": {"received": {"a": 1, "a": 2}, "completed": 0}}',
    "a member twice, escaped": b'{"paused": true, "p\\u0061used": true}',
    "not UTF-8": b'{"fatal_error": "\xff"}',
    "UTF-16": '{"paused": true}'.encode("utf-16"),
    "a surrogate in UTF-8": b'{"fatal_error": "\xed\xa0\x80"}',
    "overlong UTF-8": b'{"fatal_error": "\xc0\x80"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a raw NUL": b'{"fatal_error": "\x00"}',
    "a raw control character": b'{"fatal_error": "\x01"}',
    "arrays too deep": b"[" * DEEP + b"]" * DEEP,
    "100,000 arrays": b"[" * 100_000 + b"]" * 100_000,
    "100,000 arrays, cut off": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "10,000 arrays within a report": b'{"completed_frontier": {"metadata": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_strict_json_is_refused(api: Api, unchanged: Unchanged, body: bytes) -> None:
    with unchanged():
        for send in SENDERS:
            refused(send(api, body), 400, "MalformedBody")


@pytest.mark.parametrize("send", SENDERS)
def test_a_body_of_10_mb_is_refused(api: Api, unchanged: Unchanged, send: Send) -> None:
    with unchanged():
        refused(send(api, b'{"fatal_error": "' + b"x" * 10_000_000 + b'"}'), 413, "RequestEntityTooLarge")


def test_a_body_that_does_not_tell_its_length_is_read_no_further_than_allowed(api: Api, unchanged: Unchanged) -> None:
    endless = {"wsgi.input": BytesIO(b" " * (MAX_BODY + 1)), "wsgi.input_terminated": True}
    with unchanged():
        response = api.request("PUT", STATS, content_type="application/json", environ_overrides=endless)
        refused(response, 413, "RequestEntityTooLarge")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", STATS),
        ("POST", REPORTS),
        ("PUT", PIPELINE),
        ("POST", "/v0/api_keys"),
        ("POST", "/v0/api_keys/ci/rotate"),
    ],
)
@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_another_content_type_is_refused(
    api: Api, unchanged: Unchanged, method: str, path: str, content_type: str
) -> None:
    with unchanged():
        response = api.request(method, path, data=b"{}", content_type=content_type)
        refused(response, 415, "UnsupportedMediaType")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_a_content_type_may_be_spelt_in_other_ways(api: Api, content_type: str) -> None:
    assert api.put(json.dumps(FULL), content_type=content_type).status_code == 204


TEXTS = [
    *("position.epoch", "position.received.a{}", "recording", "fatal_error", "health.status", "health.description"),
    *("parse_errors.0.timestamp", "parse_errors.0.tag", "parse_errors.0.message", "transport_errors.0.message"),
    *("completed_frontier.metadata", "completed_frontier.metadata.a{}", "completed_frontier.ingested_at", "a{}"),
]


@pytest.mark.parametrize("character", ["\0", "\ud800"])
@pytest.mark.parametrize("path", TEXTS)
def test_a_nul_or_a_lone_surrogate_is_refused_in_any_text(
    api: Api, unchanged: Unchanged, path: str, character: str
) -> None:
    report = changed(FULL, path.format(character), 1 if "{}" in path else f"a{character}")
    with unchanged():
        body = refused(api.report(report, 1), 400, "MalformedBody")
    assert body["message"].startswith(path.removesuffix("a{}").strip(".") or "The body")


@pytest.mark.parametrize("status", [None, "", "running", "Failed", 1, True, [], {}])
def test_a_pipeline_status_that_is_none_is_refused(api: Api, unchanged: Unchanged, status: Any) -> None:
    with unchanged():
        response = api.request("PUT", PIPELINE, json={"deployment_status": status})
        assert list(refused(response, 422, "InvalidReport")["details"]) == ["deployment_status"]
