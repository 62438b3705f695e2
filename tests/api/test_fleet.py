"""The list of all connectors: what it tells, its filters and its order."""

import re
from collections.abc import Callable
from time import sleep
from typing import Any

import pytest

from app.api.fleet_schemas import FleetConnectorSchema, FleetSchema
from app.domain.roles import Role
from tests.api.client import FULL, Api
from tests.api.fleet import DONE, FLEET, WAITS, listed, names, path, report

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
HEALTHY = {"status": "Healthy", "description": None}
ILL = {"status": "Unhealthy", "description": "no route"}


def test_an_empty_fleet_is_an_empty_list(api: Api) -> None:
    response = api.get(FLEET)
    assert (response.status_code, response.get_data()) == (200, b'{"connectors":[],"next":null}\n')
    assert "Link" not in response.headers


def test_everything_that_is_told_of_a_connector(api: Api) -> None:
    api.report(FULL, 0)
    (connector,) = listed(api)
    assert list(connector) == list(FleetConnectorSchema().fields)
    assert FleetSchema().validate({"connectors": [connector], "next": None}) == {}
    assert TIME.fullmatch(connector["recorded_at"])
    assert connector["recorded_at"] == api.stats().get_json()["recorded"]["recorded_at"]
    assert connector.pop("lag_seconds") >= 0
    assert connector.pop("report_age_seconds") in range(60)
    assert connector.pop("recorded_at")
    assert connector == {
        "pipeline": "demo",
        "pipeline_status": "Running",
        "table": "orders",
        "connector": "billing",
        "endpoint_name": "orders.billing",
        "lifecycle": "failed",
        "progress": "moving",
        "health": {"status": "Unhealthy", "description": "no disk"},
        "fatal_error": "the disk is full",
        "lag_records": 5,
        "interval_seconds": 60.5,
        "not_reporting_since": None,
        "version": 1,
        "epoch": "run-1",
        "epoch_number": 1,
        "completed_version": 0,
        "total_records": 190,
        "buffered_records": 5,
        "num_parse_errors": 2,
        "num_transport_errors": 1,
        "removed_at": None,
    }


def test_what_is_not_known_is_null(api: Api) -> None:
    api.report({}, 0)
    (connector,) = listed(api)
    assert FleetConnectorSchema().validate(connector) == {}
    nulls = {name for name, value in connector.items() if value is None}
    assert nulls == {
        *("health", "fatal_error", "lag_records", "lag_seconds", "interval_seconds", "not_reporting_since", "epoch"),
        "removed_at",
    }
    assert (connector["lifecycle"], connector["progress"]) == ("running", "unknown")


def test_texts_are_cut_and_any_text_comes_back(api: Api) -> None:
    text = 'Zürich 🚆 "\\\n\u2028' + "x" * 600
    api.report({"fatal_error": text, "health": {"status": "Unhealthy", "description": text}}, 0)
    (connector,) = listed(api)
    assert connector["fatal_error"] == connector["health"]["description"] == text[:500]


def test_a_silent_connector_is_unhealthy_and_of_unknown_progress(api: Api) -> None:
    report(api, "silent", interval_seconds=0.01, health=HEALTHY)
    report(api, "promised-nothing", health=HEALTHY)
    sleep(0.05)
    silent, other = listed(api)
    assert (silent["connector"], silent["lifecycle"], silent["progress"]) == ("silent", "running", "unknown")
    assert silent["health"]["status"] == "Unhealthy"
    assert re.fullmatch(r"no report for \d+ s", silent["health"]["description"])
    assert silent["not_reporting_since"] == silent["recorded_at"]
    assert FleetConnectorSchema().validate(silent) == {}
    assert (other["progress"], other["health"], other["not_reporting_since"]) == ("idle", HEALTHY, None)
    stats = api.stats(path("silent")).get_json()
    assert stats["health"]["status"] == "Unhealthy"


def test_a_connector_of_a_stopped_pipeline_is_listed(api: Api) -> None:
    report(api, "billing")
    api.set_pipeline("Stopped")
    assert [each["pipeline_status"] for each in listed(api)] == ["Stopped"]


KINDS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "failed": ((DONE,), {"fatal_error": "gone"}),
    "ill": ((DONE,), {"health": ILL}),
    "stalled": ((WAITS,) * 4, {"health": HEALTHY}),
    "rewound": ((DONE, WAITS), {}),
    "unknown": ((None,), {}),
    "finished": ((DONE,), {"metrics": {"end_of_input": True}}),
    "idle": ((DONE,), {}),
    "moving": ((WAITS,), {}),
    "paused": ((WAITS,), {"paused": True}),
}


@pytest.fixture
def kinds(api: Api) -> Api:
    """A client whose tenant has a connector of each kind, and a removed one."""
    for name, (positions, fields) in KINDS.items():
        report(api, name, *positions, **fields)
    report(api, "removed")
    api.remove(path("removed"))
    return api


def test_the_abnormal_come_first(kinds: Api) -> None:
    abnormal = ["failed", "ill", "stalled", "rewound", "unknown"]
    assert names(kinds) == [*abnormal, "finished", "idle", "moving", "paused"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"lifecycle": "running"}, {"ill", "stalled", "rewound", "unknown", "idle", "moving"}),
        ({"lifecycle": ["paused", "finished"]}, {"paused", "finished"}),
        ({"lifecycle": "removed"}, {"removed"}),
        ({"lifecycle": ["removed", "failed"]}, {"removed", "failed"}),
        ({"progress": "stalled"}, {"stalled"}),
        ({"progress": ["rewound", "unknown"]}, {"rewound", "unknown"}),
        ({"progress": "unknown", "lifecycle": ["running", "removed"]}, {"unknown", "removed"}),
        ({"progress": "idle"}, {"failed", "ill", "finished", "idle"}),
        ({"health": "Unhealthy"}, {"ill"}),
        ({"health": "Healthy"}, {"stalled"}),
        ({"health": ["none"]}, KINDS.keys() - {"ill", "stalled"}),
        ({"health": ["Healthy", "Unhealthy", "none"]}, KINDS.keys()),
        ({"pipeline": "demo"}, KINDS.keys()),
        ({"pipeline": ["nothing", "demo"]}, KINDS.keys()),
        ({"pipeline": "nothing"}, set()),
        ({"min_lag_records": "6"}, {"stalled", "rewound", "moving", "paused"}),
        ({"min_lag_records": "0"}, KINDS.keys() - {"unknown"}),
        ({"min_lag_records": "7"}, set()),
        ({"min_lag_records": "99999999999999999999999"}, set()),
        ({"min_lag_seconds": "0"}, KINDS.keys() - {"unknown"}),
        ({"min_lag_seconds": "1000.5"}, set()),
        ({"min_lag_seconds": "0.000001"}, {"stalled", "rewound", "moving", "paused"}),
        ({"name_prefix": "orders.f"}, {"failed", "finished"}),
        ({"name_prefix": "orders.F"}, set()),
        ({"name_prefix": "o"}, KINDS.keys()),
        ({"name_prefix": "%"}, set()),
        ({"name_prefix": "order_"}, set()),
        ({"name_prefix": "orders.failed", "progress": "idle", "lifecycle": "failed"}, {"failed"}),
        ({"name_prefix": "orders.failed", "progress": "stalled"}, set()),
    ],
)
def test_filters(kinds: Api, query: dict[str, Any], expected: set[str]) -> None:
    found = names(kinds, **query)
    assert set(found) == set(expected)
    assert len(found) == len(expected)


def test_a_removed_connector_is_listed_when_it_is_asked_for(api: Api) -> None:
    report(api, "gone", WAITS, health=ILL, interval_seconds=0.01)
    api.remove(path("gone"))
    sleep(0.05)
    (gone,) = listed(api, lifecycle="removed")
    assert FleetConnectorSchema().validate(gone) == {}
    assert (gone["progress"], gone["health"], gone["lag_records"], gone["lag_seconds"]) == ("unknown", None, None, None)
    assert (gone["not_reporting_since"], gone["epoch"]) == (None, None)
    assert TIME.fullmatch(gone["removed_at"])
    report(api, "other")
    assert api.report({}, 0, path("gone")).status_code == 201
    assert names(api, lifecycle="removed") == []
    assert names(api) == ["gone", "other"]


def test_equals_come_by_pipeline_table_and_connector_byte_by_byte(api: Api) -> None:
    places = [("Z", "t", "c"), ("a", "B", "c"), ("a", "_", "c"), ("a", "b", "C"), ("a", "b", "c"), ("a", "ü", "c")]
    for pipeline, table, name in reversed(places):
        report(api, name, pipeline=pipeline, table=f"%22{table}%22")
    assert [(each["pipeline"], each["table"], each["connector"]) for each in listed(api)] == places


def test_a_tenant_sees_its_own_connectors_only(api: Api, make_api: Callable[..., Api]) -> None:
    other = make_api(tenant="other-fleet")
    report(api, "mine")
    report(other, "theirs")
    assert names(api) == names(api, pipeline="demo") == ["mine"]
    assert "theirs" in names(other)
    assert "mine" not in names(other, limit=1000)


def test_whoever_may_read_may_read_the_fleet(api: Api, make_api: Callable[..., Api]) -> None:
    report(api, "billing")
    assert names(make_api(Role.READ)) == ["billing"]
