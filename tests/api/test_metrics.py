"""Metrics of pipelines and connectors, as Prometheus and promtool read them."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.domain.names import pipeline_id
from app.domain.roles import Role
from tests.api.client import FULL, PIPELINE, Api, changed, refused
from tests.api.conftest import PassTime
from tests.pages import DOCS
from tests.promtool import promtool

METRICS = f"{PIPELINE}/metrics"


def samples(api: Api, path: str = METRICS, **labels: str) -> dict[str, float]:
    """The values of the samples that have these labels, by name and by what other labels they have."""
    response = api.get(path)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/plain"), response.text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            others = {
                k: v for k, v in sample.labels.items() if k not in ("pipeline", "pipeline_name", "endpoint", "table")
            }
            if labels.items() <= sample.labels.items():
                name = sample.name + "".join(f":{value}" for value in others.values())
                assert name not in found, f"{name} is there twice"
                found[name] = sample.value
    return found


def connector(table: str, name: str, pipeline: str = PIPELINE) -> str:
    return f"{pipeline}/tables/{table}/connectors/{name}"


@pytest.mark.parametrize("path", ["/v0/metrics", METRICS, f"{METRICS}?format=prometheus"])
def test_connectors_are_told_apart_by_feldera_s_labels(api: Api, path: str) -> None:
    tables = ["orders", "a%22b%5Cc%20d", "%22%C3%9C%22"]
    for number, table in enumerate(tables, start=1):
        report = {"metrics": {**FULL["metrics"], "total_records": number}}
        assert api.report(report, 0, connector(table, "c")).status_code == 201
    for number, name in enumerate(["orders.c", 'a"b\\c d.c', "Ü.c"], start=1):
        found = samples(api, path, endpoint=name, table=name.removesuffix(".c"))
        assert found["input_connector_records_total"] == number
        assert found["input_connector_bytes_total"] == 4096
        assert found["input_connector_errors_parse_total"] == 2
        assert found["input_connector_errors_transport_total"] == 1
        assert found["input_connector_buffered_records"] == 5
        assert found["input_connector_buffered_records_bytes"] == 108
        assert found["input_connector_end_of_input"] == 1
        assert found["input_connector_processing_latency_p99_seconds"] == 0.0015
    labels = {"pipeline": str(pipeline_id(api.tenant_id, "demo")), "pipeline_name": "demo", "endpoint": "Ü.c"}
    assert samples(api, path, **labels).keys() == found.keys()


def test_names_with_dots_are_two_series(api: Api) -> None:
    api.report({"metrics": {"total_records": 1}}, 0, connector("a.b", "c"))
    api.report({"metrics": {"total_records": 2}}, 0, connector("a", "b.c"))
    values = [samples(api, endpoint="a.b.c", table=table)["input_connector_records_total"] for table in ("a.b", "a")]
    assert values == [1, 2]


def test_a_connector_s_state(api: Api, pass_time: PassTime) -> None:
    api.report({"position": {"received": 100, "completed": 40}, "interval_seconds": 60}, 0)
    pass_time(30)
    found = samples(api, endpoint="orders.billing")
    assert found["input_connector_lag_records"] == 60
    assert 30 <= found["input_connector_lag_seconds"] < 90
    assert 30 <= found["input_connector_report_age_seconds"] < 90
    assert (found["input_connector_running"], found["input_connector_not_reporting"]) == (1, 0)
    assert (found["input_connector_reports_total"], found["input_connector_epochs_total"]) == (1, 1)
    assert states(found, "lifecycle", "running", "paused", "finished", "failed") == "running"
    assert states(found, "progress", "idle", "moving", "stalled", "rewound", "unknown") == "moving"
    assert states(found, "health", "Healthy", "Unhealthy", "none") == "none"
    pass_time(300)
    found = samples(api, endpoint="orders.billing")
    assert found["input_connector_not_reporting"] == 1
    assert states(found, "progress", "idle", "moving", "stalled", "rewound", "unknown") == "unknown"
    assert states(found, "health", "Healthy", "Unhealthy", "none") == "Unhealthy"
    api.report(changed(FULL, "metrics.end_of_input", False), 1)
    found = samples(api, endpoint="orders.billing")
    assert (found["input_connector_running"], found["input_connector_reports_total"]) == (0, 2)
    assert states(found, "lifecycle", "running", "paused", "finished", "failed") == "failed"


def states(found: dict[str, float], axis: str, *expected: str) -> str:
    """Which state holds, of exactly these."""
    prefix = f"input_connector_{axis}:"
    values = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    assert sorted(values) == sorted(expected)
    assert sorted(values.values()) == [0] * (len(expected) - 1) + [1]
    return next(state for state, value in values.items() if value)


def test_what_is_not_known_is_left_out(api: Api) -> None:
    api.report({}, 0)
    found = samples(api, endpoint="orders.billing")
    assert not any(name.startswith("input_connector_lag") for name in found)
    assert "input_connector_processing_latency_p99_seconds" not in found


def test_a_pipeline_s_own(api: Api) -> None:
    api.set_pipeline("Paused")
    assert samples(api) == samples(api, "/v0/metrics", pipeline_name="demo")
    found = samples(api)
    assert found.pop("pipeline_start_time_seconds") > 1.7e9
    assert {name for name, value in found.items() if value} == {"pipeline_deployment_status:Paused"}
    counters = {"total_records": 10, "total_bytes": 100, "buffered_records": 3, "buffered_bytes": 30}
    for name in ("a", "b"):
        api.report({"metrics": counters}, 0, connector("orders", name))
    api.report({"metrics": {"total_records": 1000}}, 0, connector("orders", "a", "/v0/pipelines/other"))
    found = sums(api)
    assert (found["records_input_total"], found["records_input_bytes_total"]) == (20, 200)
    assert (found["records_input_buffered"], found["records_input_buffered_bytes"]) == (6, 60)
    assert (found["records_processed_total"], found["pipeline_complete"]) == (14, 0)


def sums(api: Api) -> dict[str, float]:
    """Of the pipeline's own."""
    text = api.get(METRICS).text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "endpoint" not in sample.labels
    }


def test_nobody_sees_another_tenant_s_nor_what_was_removed(api: Api, make_api: Callable[..., Api]) -> None:
    stranger = make_api(Role.READ, uuid4().hex)
    api.report({}, 0)
    assert stranger.get("/v0/metrics").text == ""
    refused(stranger.get(METRICS), 404, "UnknownPipelineName")
    api.remove()
    assert samples(api, endpoint="orders.billing") == {}


def test_promtool_finds_no_error(api: Api) -> None:
    api.report(FULL, 0)
    promtool("check", "metrics", given=api.get("/v0/metrics").text)


def test_documentation_lists_every_metric(api: Api) -> None:
    api.report(FULL, 0)
    families = dict(re.findall(r"^# TYPE (\S+) (\S+)$", api.get(METRICS).text, re.MULTILINE))
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", (DOCS / "metrics.md").read_text(), re.MULTILINE))
    assert families == {name: kind for name, kind in documented.items() if not name.startswith("tidemark_")}
