"""Pipelines: their status, their connectors' stats together."""

import json
import uuid
from time import time
from typing import Any

import pytest

from app.api.pipeline_schemas import PipelineSchema, PipelineStatsSchema
from tests.api.client import FULL, PIPELINE, Api, changed

MEMBERS = [
    *("checkpoint_activity", "global_metrics", "inputs", "outputs", "permanent_checkpoint_errors", "suspend_error")
]


def connector(table: str, name: str) -> str:
    return f"{PIPELINE}/tables/{table}/connectors/{name}"


def stats(api: Api, query: str = "") -> dict[str, Any]:
    response = api.get(f"{PIPELINE}/stats{query}")
    assert (response.status_code, response.content_type) == (200, "application/json")
    document: dict[str, Any] = json.loads(response.get_data())
    return document


def global_metrics(api: Api) -> Any:
    return stats(api)["global_metrics"]


@pytest.mark.parametrize("query", ["", "?include_connector_errors=false", "?include_connector_errors=true"])
def test_pipeline_stats_are_those_of_its_connectors(api: Api, query: str) -> None:
    api.report(FULL, 0, connector("orders", "billing"))
    api.report({}, 0, connector("Audit", "x"))
    document = stats(api, query)
    assert list(document) == MEMBERS
    assert PipelineStatsSchema().validate(document) == {}
    expected = [api.stats(connector("audit", "x")).get_json(), api.stats().get_json()]
    if not query.endswith("true"):
        expected = [{k: v for k, v in each.items() if not k.endswith("_errors")} for each in expected]
    assert document["inputs"] == expected
    assert [list(each) for each in document["inputs"]] == [list(each) for each in expected]
    del document["global_metrics"], document["inputs"]
    assert document == {
        "checkpoint_activity": None,
        "outputs": [],
        "permanent_checkpoint_errors": None,
        "suspend_error": None,
    }


def test_inputs_come_sorted_by_endpoint_name_and_without_the_removed(api: Api) -> None:
    for table, name in (("b", "c"), ("a.b", "c"), ("a", "z"), ("%22B%22", "c"), ("ü", "c"), ("a", "gone"), ("_", "-")):
        api.report({}, 0, connector(table, name))
    api.remove(connector("a", "gone"))
    names = [each["endpoint_name"] for each in stats(api)["inputs"]]
    assert names == ["B.c", "_.-", "a.b.c", "a.z", "b.c", "ü.c"]


def test_global_metrics_are_sums(api: Api) -> None:
    assert api.set_pipeline("Running").status_code == 201
    metrics = global_metrics(api)
    assert str(uuid.UUID(metrics["incarnation_uuid"])) == metrics.pop("incarnation_uuid")
    assert abs(metrics.pop("start_time") - time()) < 60
    assert metrics == {
        "state": "Running",
        "transaction_status": "NoTransaction",
        "total_input_records": 0,
        "total_input_bytes": 0,
        "buffered_input_records": 0,
        "buffered_input_bytes": 0,
        "total_processed_records": 0,
        "pipeline_complete": False,
    }
    counters = {"total_records": 10, "total_bytes": 100, "buffered_records": 3, "buffered_bytes": 30}
    for name in ("a", "b"):
        api.report({"metrics": counters}, 0, connector("orders", name))
    metrics = global_metrics(api)
    assert (metrics["total_input_records"], metrics["total_input_bytes"]) == (20, 200)
    assert (metrics["buffered_input_records"], metrics["buffered_input_bytes"]) == (6, 60)
    assert metrics["total_processed_records"] == 14


def test_a_pipeline_is_complete_when_no_connector_has_anything_left(api: Api) -> None:
    ended = {"metrics": {"end_of_input": True}, "position": {"received": 5, "completed": 5}}
    a, b = connector("orders", "a"), connector("orders", "b")
    api.report(ended, 0, a)
    assert global_metrics(api)["pipeline_complete"] is True
    api.report(changed(ended, "position.completed", 4), 0, b)
    assert global_metrics(api)["pipeline_complete"] is False
    api.report(ended, 1, b)
    assert global_metrics(api)["pipeline_complete"] is True
    api.report(changed(ended, "metrics.buffered_records", 1), 2, b)
    assert global_metrics(api)["pipeline_complete"] is False
    api.report(changed(ended, "metrics.end_of_input", False), 3, b)
    assert global_metrics(api)["pipeline_complete"] is False
    api.report({"metrics": {"end_of_input": True}}, 4, b)
    assert global_metrics(api)["pipeline_complete"] is True


def test_a_pipeline_has_a_new_incarnation_when_it_leaves_stopped(api: Api) -> None:
    api.set_pipeline("Running")
    first = global_metrics(api)
    api.set_pipeline("Paused")
    assert global_metrics(api) == first | {"state": "Paused"}
    api.set_pipeline("Stopped")
    api.set_pipeline("Running")
    assert global_metrics(api)["incarnation_uuid"] != first["incarnation_uuid"]


@pytest.mark.parametrize("query", ["", "?selector=all", "?selector=status"])
def test_a_pipeline_is_read_alone_and_in_the_list(api: Api, query: str) -> None:
    for name in ("b", "a", "C"):
        assert api.set_pipeline("Paused", f"/v0/pipelines/{name}").status_code == 201
    listed = api.get(f"/v0/pipelines{query}").get_json()
    assert sorted(each["name"] for each in listed) == ["C", "a", "b"]
    for each in listed:
        assert PipelineSchema().validate(each) == {}
        assert each == api.get(f"/v0/pipelines/{each['name']}{query}").get_json()
        assert (each["deployment_status"], each["program_info"], each["description"]) == ("Paused", None, "")
        assert each["created_at"].endswith("Z")
        assert len(each["created_at"]) == len("2026-01-31T12:00:00.000000Z")


def test_status_since_moves_with_the_status_alone(api: Api) -> None:
    def since() -> str:
        return str(api.get(PIPELINE).get_json()["deployment_status_since"])

    assert api.set_pipeline("Running").status_code == 201
    first = since()
    assert api.set_pipeline("Running").status_code == 204
    assert since() == first
    assert api.set_pipeline("Paused").status_code == 204
    assert since() > first


def test_a_stopped_pipeline_is_still_read_and_reported_to(api: Api) -> None:
    api.report({}, 0)
    api.set_pipeline("Stopped")
    assert api.get(PIPELINE).get_json()["deployment_status"] == "Stopped"
    assert len(api.get("/v0/pipelines").get_json()) == 1
    assert api.report({}, 1).status_code == 204
    assert api.get(PIPELINE).get_json()["deployment_status"] == "Stopped", "a report says nothing of the pipeline"
