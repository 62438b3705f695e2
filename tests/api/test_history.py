"""History over HTTP: a connector's past by steps, its errors with gaps, what happened to a pipeline's connectors."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from app.api.history_json import ERROR_COLUMNS, POINT_COLUMNS
from app.api.history_schemas import ErrorsSchema, EventsSchema, HistorySchema
from app.domain.roles import Role
from app.domain.status import format_time
from app.store.rollups import Bucket, Grain, roll_up
from tests.api.client import FULL, ORDERS, PIPELINE, Api, changed, refused
from tests.api.conftest import engine_of
from tests.services.reporting import KEEP_EVERY, settle

HISTORY = f"{ORDERS}/history"
EVENTS = f"{PIPELINE}/events"
CSV = {"Accept": "text/csv"}
LINES = {"Accept": "application/x-ndjson"}


def read(response: TestResponse) -> Any:
    assert response.status_code == 200, response.text
    return response.get_json()


def lines(response: TestResponse) -> list[Any]:
    assert (response.status_code, response.content_type) == (200, "application/x-ndjson")
    return [json.loads(line) for line in response.get_data(as_text=True).splitlines()]


def table(response: TestResponse) -> tuple[list[str], list[dict[str, str]]]:
    assert (response.status_code, response.content_type) == (200, "text/csv; charset=utf-8; header=present")
    reader = csv.DictReader(io.StringIO(response.get_data(as_text=True)))
    return list(reader.fieldnames or ()), list(reader)


def spelt(row: dict[str, Any], columns: Any) -> dict[str, str]:
    """A row as CSV spells it."""
    values = {name: row.get(name) for name in columns}
    return {
        name: json.dumps(v, separators=(",", ":")) if isinstance(v, dict) else "" if v is None else str(v)
        for name, v in values.items()
    }


def lived(api: Api) -> None:
    """Three epochs: each report is observed, because it opens one."""
    for version, epoch in enumerate("abc"):
        assert api.position(version * 10, version * 5, version, epoch=epoch).status_code in (201, 204)


def test_history_counts_what_was_reported_by_aligned_steps_with_gaps_of_null(api: Api) -> None:
    lived(api)
    answer = read(api.get(HISTORY, query_string={"step": 60}))
    assert not HistorySchema().validate(answer)
    assert (answer["resolution"], answer["step"], answer["table"]) == ("raw", 60, "orders")
    times = [point["at"] for point in answer["points"]]
    assert times == sorted(times)
    assert times[0] == answer["from"]
    assert all(at.endswith(":00.000000Z") for at in times)
    assert len(times) in (60, 61)
    assert all(tuple(point) == POINT_COLUMNS for point in answer["points"])
    empty = [point for point in answer["points"] if point["observations"] is None]
    assert all(list(point.values())[1:] == [None] * (len(POINT_COLUMNS) - 1) for point in empty)
    assert len(empty) >= 58, "what is not known is not zero"
    known = [point for point in answer["points"] if point["observations"] is not None]
    for name, total in {"observations": 3, "reports": 3, "epochs": 3, "failures": 0}.items():
        assert sum(point[name] for point in known) == total
    assert known[-1]["lag_records_max"] == 10
    assert {point["received_delta"] for point in known} == {None}, "epochs are not compared"


def test_hours_and_days_come_from_the_rollups(api: Api, engine: sa.Engine) -> None:
    lived(api)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert {p["observations"] for p in read(api.get(HISTORY, query_string={"step": 3600}))["points"]} == {None}
    with engine.begin() as connection:
        for bucket in (Bucket(Grain.HOUR, hour), Bucket(Grain.DAY, hour.replace(hour=0))):
            roll_up(connection, bucket, keep_every=KEEP_EVERY)
    for step, resolution in ((3600, "hourly"), (86400, "daily")):
        answer = read(api.get(HISTORY, query_string={"step": step}))
        assert not HistorySchema().validate(answer)
        assert (answer["resolution"], answer["points"][-1]["reports"]) == (resolution, 3)


def test_csv_and_lines_say_the_same_as_json(api: Api) -> None:
    lived(api)
    now = datetime.now(UTC)
    span = {"from": format_time(now - timedelta(minutes=5)), "to": format_time(now), "step": 60}
    while "observations" not in json.dumps(points := read(api.get(HISTORY, query_string=span))["points"]):
        pass
    told = lines(api.get(HISTORY, query_string=span, headers=LINES))
    varying = [name for name in POINT_COLUMNS if name.endswith(("_second", "_seconds"))]  # time goes on

    def steady(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name not in varying} for row in rows]

    assert steady(told) == steady(points)
    columns, rows = table(api.get(HISTORY, query_string=span, headers=CSV))
    assert columns == list(POINT_COLUMNS)
    assert steady(rows) == steady([spelt(point, POINT_COLUMNS) for point in points])


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("text/*;q=0.5, application/json", "application/json"),
        ("text/csv, application/json;q=0.9", "text/csv; charset=utf-8; header=present"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("text/csv; header=present, application/json;q=0.9", "text/csv; charset=utf-8; header=present"),
    ],
)
def test_the_client_chooses_the_format(api: Api, accept: str, content_type: str) -> None:
    lived(api)
    response = api.get(HISTORY, headers={"Accept": accept})
    assert (response.content_type, response.headers["Vary"]) == (content_type, "Accept")
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [HISTORY, EVENTS, f"{ORDERS}/errors"])
def test_another_format_is_not_there(api: Api, path: str) -> None:
    lived(api)
    refused(api.get(path, headers={"Accept": "image/png"}), 406, "NotAcceptable")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("from=yesterday", "from"),
        ("to=2026-01-31", "to"),
        ("to=0001-01-01T00:00:00Z", "to"),
        ("from=0001-01-01T00:00:00Z", "from"),
        ("from=9999-12-31T23:59:59Z", "from"),
        ("from=2026-01-31T12:00:00Z&to=2026-01-31T12:00:00Z", "from"),
        ("from=9999-12-31T23:59:58Z&to=9999-12-31T23:59:59Z", "from"),
        ("step=0", "step"),
        ("step=-1", "step"),
        ("step=1e3", "step"),
        ("step=7", "step"),
        ("step=60&step=60", "step"),
        ("step=1&from=2026-01-31T11:00:00Z&to=2026-01-31T12:00:00Z", "step"),
        ("step=1800&from=2026-01-01T11:00:00Z&to=2026-01-31T12:00:00Z", "step"),
        ("from=1970-01-01T00:00:00Z", "step"),
        ("steps=60", "steps"),
    ],
)
def test_a_bad_parameter_is_refused_by_its_name(api: Api, query: str, name: str) -> None:
    lived(api)
    error = refused(api.get(f"{HISTORY}?{query}"), 400, "InvalidParam")
    assert name in error["details"]["error"].partition(":")[0]


@pytest.mark.parametrize("path", ["history", "errors"])
def test_what_is_not_there_or_not_the_tenants_is_unknown(make_api: Callable[..., Api], api: Api, path: str) -> None:
    lived(api)
    other = make_api(Role.ADMIN, tenant="another")
    refused(other.get(f"{ORDERS}/{path}"), 404, "UnknownPipelineName")
    refused(api.get(f"{PIPELINE}/tables/orders/connectors/none/{path}"), 404, "UnknownInputEndpoint")
    api.remove()
    refused(api.get(f"{ORDERS}/{path}"), 404, "UnknownInputEndpoint")


def test_errors_show_their_gaps(api: Api) -> None:
    error = {"timestamp": "2026-01-31T12:00:00Z", "tag": None, "message": "=no, comma\n"}
    report = changed(FULL, "parse_errors", [error | {"index": 3}, error | {"index": 4, "tag": "json"}])
    report = changed(changed(report, "metrics.num_parse_errors", 7), "transport_errors", [])
    api.report(changed(report, "metrics.num_transport_errors", 0), 0)
    answer = read(api.get(f"{ORDERS}/errors"))
    assert not ErrorsSchema().validate(answer)
    told = error | {"timestamp": "2026-01-31T12:00:00.000000Z"}
    assert answer["parse_errors"] == [
        {"missing_from": 1, "missing_to": 2},
        {"index": 3} | told,
        {"index": 4} | told | {"tag": "json"},
        {"missing_from": 5, "missing_to": 7},
    ]
    assert answer["transport_errors"] == []
    rows = [{"kind": "parse"} | entry for entry in answer["parse_errors"]]
    assert lines(api.get(f"{ORDERS}/errors", headers=LINES)) == rows
    columns, cells = table(api.get(f"{ORDERS}/errors", headers=CSV))
    assert columns == list(ERROR_COLUMNS)
    assert cells == [spelt(row, ERROR_COLUMNS) for row in rows]


def eventful(api: Api, engine: sa.Engine) -> list[tuple[str, int]]:
    """Two connectors to which things happen; what, in the order in which it is told."""
    other = f"{PIPELINE}/tables/Returns/connectors/audit"
    api.report({"paused": True}, 0)
    api.report({"fatal_error": "gone"}, 0, other)
    api.report({}, 1)
    api.report({}, 1, other)
    api.remove(other)
    settle(engine)
    return [
        ("created", 1),
        ("paused", 1),
        ("created", 1),
        ("failed", 1),
        ("resumed", 2),
        ("recovered", 2),
        ("removed", 2),
    ]


def told(events: list[Any]) -> list[tuple[str, int]]:
    return [(event["kind"], event["version"]) for event in events]


def test_events_are_listed_in_the_order_of_the_stream(api: Api, engine: sa.Engine) -> None:
    expected = eventful(api, engine)
    answer = read(api.get(EVENTS))
    assert not EventsSchema().validate(answer)
    assert told(answer["events"]) == expected
    assert answer["next"] is None
    failed = answer["events"][3]
    assert list(failed) == ["pipeline", "table", "connector", "kind", "version", "at", "details"]
    assert (failed["table"], failed["details"]) == ("returns", {"error": "gone"})
    assert lines(api.get(EVENTS, headers=LINES)) == answer["events"]
    columns, rows = table(api.get(EVENTS, headers=CSV))
    assert columns == list(failed)
    assert rows == [spelt(event, columns) for event in answer["events"]]


def test_pages_lead_from_one_to_the_next_and_lines_have_none(
    api: Api, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = eventful(api, engine)
    answer = read(api.get(f"{EVENTS}?limit=2"))
    found = told(answer["events"])
    for _ in range(3):
        answer = read(api.get(EVENTS + answer["next"]))
        found += told(answer["events"])
    assert (found, answer["next"]) == (expected, None)
    monkeypatch.setattr("app.api.history.MAX_LIMIT", 2)
    assert told(lines(api.get(f"{EVENTS}?limit=1", headers=LINES))) == expected


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("kind=failed", 1),
        ("kind=failed&kind=paused", 2),
        ("table=RETURNS", 5 - 1),
        ('table="Returns"', 0),
        ("connector=billing", 3),
        ("table=returns&connector=billing", 0),
        ("from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", 0),
    ],
)
def test_events_are_filtered(api: Api, engine: sa.Engine, query: str, count: int) -> None:
    eventful(api, engine)
    assert len(read(api.get(f"{EVENTS}?{query}"))["events"]) == count


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("kind=broken", "kind"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=x", "cursor"),
        ("connector=a%20b", "connector"),
        ("table=", "table"),
        ("since=2026-01-31T12:00:00Z", "since"),
    ],
)
def test_a_bad_filter_is_refused_by_its_name(api: Api, query: str, name: str) -> None:
    lived(api)
    assert refused(api.get(f"{EVENTS}?{query}"), 400, "InvalidParam")["details"]["error"].startswith(f"{name}:")


def test_a_cursor_is_for_its_own_filters_and_span(api: Api, engine: sa.Engine) -> None:
    eventful(api, engine)
    following = read(api.get(f"{EVENTS}?limit=1"))["next"]
    assert read(api.get(EVENTS + following))["events"]
    refused(api.get(f"{EVENTS}{following}&table=orders"), 400, "InvalidParam")


def test_events_of_an_unknown_or_foreign_pipeline_are_unknown(make_api: Callable[..., Api], api: Api) -> None:
    lived(api)
    refused(api.get("/v0/pipelines/none/events"), 404, "UnknownPipelineName")
    refused(make_api(Role.ADMIN, tenant="another").get(EVENTS), 404, "UnknownPipelineName")


def test_nothing_is_listed_that_another_event_could_still_come_before(api: Api, engine: sa.Engine) -> None:
    """Or a client that goes on from there would miss it."""
    with engine.begin() as slow:
        slow.execute(sa.text("SELECT pg_current_xact_id()"))
        lived(api)
        assert read(api.get(EVENTS))["events"] == []
    settle(engine)
    assert len(read(api.get(EVENTS))["events"]) == 4


def test_events_of_a_restored_database_are_told_first(api: Api, engine: sa.Engine) -> None:
    """As docs/compose.md restores them."""
    expected = eventful(api, engine)
    mine = "connector_id IN (SELECT id FROM connector WHERE tenant_id = :tenant)"
    with engine.begin() as connection:
        sql = f"UPDATE connector_event SET xid = NULL WHERE {mine} AND version = 1"
        connection.execute(sa.text(sql), {"tenant": api.tenant_id})
    listed = told(read(api.get(EVENTS))["events"])
    assert sorted(listed[:4]) == sorted(expected[:4])
    assert listed[4:] == expected[4:]


def test_no_connection_is_held_while_a_client_reads_slowly(
    api: Api, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = eventful(api, engine)
    monkeypatch.setattr("app.api.history.MAX_LIMIT", 2)
    monkeypatch.setattr("app.api.formats._BLOCK", 1)
    pool: Any = engine_of(api.app).pool
    found = []
    with api.get(EVENTS, headers=LINES, buffered=False) as response:
        for block in response.response:
            assert pool.checkedout() == 0
            found.append(json.loads(block)) if block else None
    assert told(found) == expected
