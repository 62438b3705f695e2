"""A connector's stats: the members, their order and values, and what HTTP says about them."""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import sleep
from typing import Any

import pytest

from app.api.connector_schemas import StatsSchema
from tests.api.client import FULL, STATS, Api, changed

MEMBERS = [
    *("endpoint_name", "config", "metrics", "fatal_error", "parse_errors", "transport_errors", "health", "paused"),
    *("barrier", "completed_frontier", "recorded"),
]
NEUTRAL_METRICS = {
    "total_bytes": 0,
    "total_records": 0,
    "buffered_records": 0,
    "buffered_bytes": 0,
    "num_transport_errors": 0,
    "num_parse_errors": 0,
    "end_of_input": False,
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def stats(api: Api) -> dict[str, Any]:
    """The usual connector's stats, their members in the order of the wire."""
    response = api.stats()
    assert (response.status_code, response.content_type) == (200, "application/json"), response.text
    document: dict[str, Any] = json.loads(response.get_data())
    return document


def recorded(api: Api) -> Any:
    return stats(api)["recorded"]


def test_what_a_report_leaves_out_has_its_neutral_value(api: Api) -> None:
    api.report({}, 0)
    document = stats(api)
    assert list(document) == MEMBERS
    assert list(document["metrics"]) == list(NEUTRAL_METRICS)
    recorded = document.pop("recorded")
    assert document == {
        "endpoint_name": "orders.billing",
        "config": {"stream": "orders"},
        "metrics": NEUTRAL_METRICS,
        "fatal_error": None,
        "parse_errors": [],
        "transport_errors": [],
        "health": None,
        "paused": False,
        "barrier": False,
        "completed_frontier": None,
    }
    assert TIME.fullmatch(recorded.pop("recorded_at"))
    assert recorded == {
        "version": 1,
        "recording": "sampled",
        "interval_seconds": None,
        "epoch": None,
        "epoch_number": 0,
        "received": None,
        "completed": None,
        "completed_version": 0,
        "lag_records": None,
        "lag_seconds": None,
    }


def test_what_was_reported_is_served(api: Api) -> None:
    api.report(FULL, 0)
    document = stats(api)
    assert list(document) == MEMBERS
    assert list(document["metrics"]) == [*NEUTRAL_METRICS, "processing_latency_p99_micros"]
    for name in ("metrics", "fatal_error", "health", "paused", "barrier"):
        assert document[name] == FULL[name]
    assert document["parse_errors"] == [
        {"timestamp": "2026-01-31T12:00:00.250000Z", "index": 1, "tag": "json", "message": "no comma"},
        {"timestamp": "2026-01-31T12:00:01.000000Z", "index": 2, "tag": None, "message": "no colon"},
    ]
    assert document["transport_errors"] == [
        {"timestamp": "2026-01-31T12:00:02.000003Z", "index": 1, "tag": "io", "message": "reset"}
    ]
    assert [list(error) for error in document["parse_errors"]] == [["timestamp", "index", "tag", "message"]] * 2
    assert list(document["completed_frontier"].items()) == [
        ("metadata", {"offsets": [{"start": 0, "end": 100}]}),
        ("ingested_at", "2026-01-31T12:00:00.000000Z"),
        ("processed_at", "2026-01-31T12:00:01.500000Z"),
        ("completed_at", "2026-01-31T12:00:02.123456Z"),
    ]


def test_a_report_replaces_the_whole_of_the_one_before(api: Api) -> None:
    api.report(FULL, 0)
    api.report({}, 1)
    document = stats(api)
    assert (document["metrics"], document["health"], document["fatal_error"]) == (NEUTRAL_METRICS, None, None)
    assert (document["paused"], document["barrier"], document["completed_frontier"]) == (False, False, None)


@pytest.mark.parametrize("report", [{}, FULL, {"position": {"received": 7, "completed": None}}])
def test_the_document_is_the_documented_one(api: Api, report: Any) -> None:
    api.report(report, 0)
    assert StatsSchema().validate(stats(api)) == {}


def test_the_schema_that_documents_stats_refuses_what_is_missing_or_unknown(api: Api) -> None:
    api.report(FULL, 0)
    document = stats(api)
    assert StatsSchema().validate(document | {"unknown": 1}).keys() == {"unknown"}
    for name in MEMBERS:
        assert StatsSchema().validate({key: document[key] for key in MEMBERS if key != name}).keys() == {name}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        7,
        "x",
        [],
        {"sequence_numbers": {"start": 6, "end": 10}},
        {"z": 1, "a": [None, True, 1.5, "Zürich 🚆", {"": {}}]},
        2**70,
    ],
)
def test_the_engines_own_metadata_comes_back_as_it_was(api: Api, metadata: Any) -> None:
    api.report(changed(FULL, "completed_frontier.metadata", metadata), 0)
    assert stats(api)["completed_frontier"]["metadata"] == metadata


@pytest.mark.parametrize(
    ("received", "completed", "lag"),
    [
        (100, 100, 0),
        (100, 85, 15),
        (100, 170, 0),
        (100, None, None),
        (0, None, None),
        ({"0": 100, "1": 90}, {"0": 100, "1": 85}, 5),
        ({"0": 100, "1": 90}, {"0": 130, "1": 85}, 5),
        ({"0": 100, "1": 90}, {"0": 100}, None),
        ({"0": 100, "1": 0}, {"0": 100}, 0),
        ({"0": 100}, {}, None),
        ({"0": 2**63 - 1, "1": 2**63 - 1}, {"0": 0, "1": 0}, 2**64 - 2),
    ],
)
def test_the_lag_in_records_is_null_when_a_component_is_not_known(
    api: Api, received: Any, completed: Any, lag: int | None
) -> None:
    api.position(received, completed, 0)
    record = recorded(api)
    assert (record["received"], record["completed"], record["lag_records"]) == (received, completed, lag)


def test_the_lag_in_seconds_is_how_long_the_oldest_incomplete_input_has_waited(api: Api) -> None:
    api.position(10, 10, 0)
    assert recorded(api)["lag_seconds"] == 0.0
    api.position(20, 10, 1)
    assert recorded(api)["lag_seconds"] == 0.0
    sleep(0.05)
    api.position(20, 19, 2)
    assert 0.05 <= recorded(api)["lag_seconds"] < 5.0
    api.position(20, 20, 3)
    assert recorded(api)["lag_seconds"] == 0.0


def test_the_record_tells_version_epoch_and_recording(api: Api) -> None:
    api.position(10, 5, 0, epoch="run-1")
    api.position(20, 10, 1, epoch="run-2")
    position = {"epoch": "run-2", "received": 20, "completed": 10}
    api.report({"recording": "synchronous", "interval_seconds": 2.5, "position": position}, 2)
    record = recorded(api)
    assert (record["version"], record["epoch"], record["epoch_number"]) == (3, "run-2", 2)
    assert (record["recording"], record["interval_seconds"]) == ("synchronous", 2.5)
    assert record["completed_version"] == 1, "the new epoch starts at the version before its first report"
    assert (record["received"], record["completed"]) == (20, 10), "a report without a position leaves it as it was"


def test_etag_and_last_modified_are_those_of_the_record(api: Api) -> None:
    assert api.report({}, 0).headers["ETag"] == '"1"'
    assert api.report({}, 1).headers["ETag"] == '"2"'
    response = api.stats()
    assert (response.headers["ETag"], response.get_json()["recorded"]["version"]) == ('"2"', 2)
    at = datetime.fromisoformat(response.get_json()["recorded"]["recorded_at"])
    assert parsedate_to_datetime(response.headers["Last-Modified"]) == at.replace(microsecond=0)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60


@pytest.mark.parametrize("known", ['"2"', 'W/"2"', '"1", "2"', "*"])
def test_a_version_already_known_is_not_sent_again(api: Api, known: str) -> None:
    api.report({}, 0)
    api.report({"interval_seconds": 60}, 1)
    response = api.stats(headers={"If-None-Match": known})
    assert (response.status_code, response.get_data()) == (304, b"")
    assert (response.headers["ETag"], response.headers.getlist("Cache-Control")[-1]) == ('"2"', "private, no-cache")


@pytest.mark.parametrize("known", ['"1"', '"3"', "", '"02"', "nothing"])
def test_another_version_is_sent_in_full(api: Api, known: str) -> None:
    api.report({}, 0)
    api.report({}, 1)
    assert api.stats(headers={"If-None-Match": known}).get_json()["recorded"]["version"] == 2


def test_a_stale_report_turns_unhealthy_and_is_sent_even_to_who_knows_its_version(api: Api) -> None:
    api.report({"interval_seconds": 0.01, "health": {"status": "Healthy"}}, 0)
    sleep(0.05)
    response = api.stats(headers={"If-None-Match": '"1"'})
    assert (response.status_code, response.headers["ETag"]) == (200, '"1"')
    assert "X-Accel-Expires" not in response.headers
    assert response.headers.getlist("Cache-Control") == ["private, no-cache"]
    health = response.get_json()["health"]
    assert health["status"] == "Unhealthy"
    assert re.fullmatch(r"no report for \d+ s", health["description"])
    assert StatsSchema().validate(response.get_json()) == {}
    api.report({"interval_seconds": 60, "health": {"status": "Healthy"}}, 1)
    assert stats(api)["health"] == {"status": "Healthy", "description": None}


def test_a_report_that_promises_no_other_never_gets_stale(api: Api) -> None:
    api.report({"health": {"status": "Healthy"}}, 0)
    sleep(0.05)
    assert stats(api)["health"] == {"status": "Healthy", "description": None}


def test_head_answers_the_headers_alone(api: Api) -> None:
    api.report(FULL, 0)
    get, head = api.stats(), api.request("HEAD", STATS)
    assert (head.status_code, head.get_data()) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified"):
        assert head.headers[name] == get.headers[name]


def test_a_shared_cache_must_not_keep_stats_and_nobody_a_token(api: Api) -> None:
    api.position(1, 1, 0)
    assert api.stats().headers.getlist("Cache-Control")[-1] == "private, no-cache"
    assert api.issue().headers["Cache-Control"] == "no-store"
    assert api.check(api.token()).headers["Cache-Control"] == "no-store"


def test_the_proxy_before_us_is_told_what_it_may_keep_and_in_the_order_it_reads(api: Api) -> None:
    """nginx 1.22 takes no Cache-Control after X-Accel-Expires, and no X-Accel-Expires after one that forbids it."""
    api.position(1, 1, 0)
    told = [value for name, value in api.stats().headers if name in ("Cache-Control", "X-Accel-Expires")]
    assert told == ["stale-while-revalidate=1, stale-if-error=0", "1", "private, no-cache"]
    token = api.token()
    assert "X-Accel-Expires" not in api.check(token).headers
    for version in (1, 2):
        api.position(2, 2, version)
    complete = api.check(token)
    assert complete.status_code == 200
    told = [value for name, value in complete.headers if name in ("Cache-Control", "X-Accel-Expires")]
    assert told == ["60", "no-store"]
