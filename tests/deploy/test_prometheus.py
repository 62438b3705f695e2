"""Prometheus' configuration, the alerts and Grafana's dashboards: what they ask for is there to be asked for."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from tests.pages import DOCS
from tests.promtool import promtool

HERE = Path(__file__).parent
DEPLOY = HERE.parents[1] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
RULES = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
KINDS = {"prometheus", "grafana-postgresql-datasource"}
PANELS = {"timeseries", "stat", "table"}
LABELS = {
    *("pipeline", "pipeline_name", "deployment_status", "endpoint", "table", "lifecycle", "progress", "health", "le"),
    *("job", "instance", "route", "status", "kind", "outcome", "thread"),
}
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def panels(dashboard: Path) -> list[dict[str, Any]]:
    return list(json.loads(dashboard.read_text())["panels"])


def targets(member: str) -> Iterator[tuple[str, str]]:
    """All queries of one kind, with where they are from."""
    for dashboard in DASHBOARDS:
        for panel in panels(dashboard):
            for target in panel["targets"]:
                if member in target:
                    yield f"{dashboard.stem}: {panel['title']}", target[member]


def documented() -> set[str]:
    """The names of all samples, by the table that other tests hold equal to what is told."""
    names = {"up"}
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    for name, kind in rows:
        names |= {f"{name}{suffix}" for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))}
    return names


def unknown(expression: str) -> set[str]:
    """The metrics and labels in a PromQL expression that nobody has; promtool knows only its grammar."""
    bare = re.sub(r'"[^"]*"', "", expression)
    labels = set[str]()
    for listed in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", bare):
        labels |= set(re.findall(r"\w+", listed))
    for matchers in re.findall(r"\{([^}]*)\}", bare):
        labels |= set(re.findall(r"(\w+)\s*(?:=|!)", matchers))
    bare = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)|\{[^}]*\}|\[[^]]*\]", "", bare)
    names = set(re.findall(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()", bare)) - {"or", "and", "unless"}
    names -= {"sum", "count", "max"}  # which `by` stood between and their parentheses
    return (names - documented()) | (labels - LABELS)


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus.yml").read_text()
    key = tmp_path / "tidemark.key"
    key.touch()
    assert "/etc/prometheus/tidemark.key" in text
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/tidemark.key", str(key)))
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_alerts_come_when_they_should() -> None:
    promtool("test", "rules", str(HERE / "alerts.yml"))


def test_every_alert_is_tested_and_explained() -> None:
    tests = yaml.safe_load((HERE / "alerts.yml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    alerts = {rule["alert"] for rule in RULES}
    assert {check["alertname"] for check in checks if check["exp_alerts"]} == alerts
    explained = re.findall(r"^\| `(\w+)` \|", (DOCS / "operations.md").read_text(), re.MULTILINE)
    assert alerts <= set(explained)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alerts_name_what_there_is(rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"]) == set()
    texts = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= LABELS


def test_a_name_that_nobody_has_is_found() -> None:
    assert unknown('sum by (pipeline) (rate(input_connector_bytes_total{le="1"}[5m])) > up') == set()
    assert unknown('rate(input_connector_byte_total{le="1"}[5m])') == {"input_connector_byte_total"}
    assert unknown('up{instances="1"}') == {"instances"}
    assert unknown("sum by (pipelines) (up)") == {"pipelines"}
    assert unknown("up or tidemark_batch_items") == {"tidemark_batch_items"}


@pytest.mark.parametrize(("where", "expression"), list(targets("expr")))
def test_dashboards_name_what_there_is(where: str, expression: str) -> None:
    assert unknown(expression) == set(), where


def test_prometheus_takes_the_dashboards_expressions(tmp_path: Path) -> None:
    rules = [
        {"record": f"test:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, (_, expression) in enumerate(targets("expr"))
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    assert len(rules) > 30
    promtool("check", "rules", str(tmp_path / "rules.yml"))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_have_the_shape_that_grafana_takes(dashboard: Path) -> None:
    whole = json.loads(dashboard.read_text())
    assert whole["uid"] == f"tidemark-{dashboard.stem}"
    assert whole["title"].startswith("Tidemark: ")
    assert "id" not in whole, "Grafana numbers it"
    variables = whole["templating"]["list"]
    assert variables[0] | {"type": "datasource", "name": "datasource"} == variables[0]
    assert variables[0]["query"] in KINDS
    names = {variable["name"] for variable in variables} | {"__rate_interval", "__timeFilter", "__all"}
    used = {one or other for one, other in VARIABLE.findall(dashboard.read_text())}
    assert used <= names
    assert [panel["id"] for panel in whole["panels"]] == list(range(1, len(whole["panels"]) + 1))
    for panel in whole["panels"]:
        assert panel["type"] in PANELS
        assert panel["title"]
        assert panel["datasource"] == {"type": variables[0]["query"], "uid": "${datasource}"}
        refs = [target["refId"] for target in panel["targets"]]
        assert refs == sorted(set(refs))
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert all(bool(target.get("expr")) != bool(target.get("rawSql")) for target in panel["targets"])


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_do_not_lie_upon_each_other(dashboard: Path) -> None:
    taken = set[tuple[int, int]]()
    for panel in panels(dashboard):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert all(0 <= x < 24 for x, _ in cells)
        taken |= cells


@pytest.mark.parametrize(("where", "query"), list(targets("rawSql")))
def test_dashboards_queries_run(engine: sa.Engine, where: str, query: str) -> None:
    with engine.connect() as connection:
        filled = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '7 days' AND now()", query)
        filled = filled.replace("$pipeline", "'demo', 'other'")
        assert "$" not in filled, where
        connection.execute(sa.text(filled)).all()
