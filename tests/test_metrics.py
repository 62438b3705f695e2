"""What the server's processes tell of themselves on their private port, workers that come and go included."""

import re
import signal
from collections.abc import Iterator

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.pages import DOCS
from tests.promtool import promtool
from tests.serving import CONNECTOR, Server, free_port, until


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    temporary = tmp_path_factory.mktemp("metrics")
    settings = {"METRICS_PORT": str(free_port()), "ALLOW_UNSAFE_DATABASE": "1", "TMPDIR": str(temporary)}
    server = Server({"DATABASE_URL": database_url} | settings)
    try:
        yield server
    finally:
        server.stop()
    assert list(temporary.iterdir()) == [], "it cleans up"


def read(server: Server) -> str:
    return requests.get(f"http://127.0.0.1:{server.environment['METRICS_PORT']}/metrics", timeout=10).text


def told(server: Server) -> dict[str, float]:
    """The samples, by name and labels' values."""
    return {
        ":".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(read(server))
        for sample in family.samples
    }


def count(server: Server, name: str) -> float:
    return told(server).get(name, 0)


def test_every_process_counts_and_each_tells_all(server: Server) -> None:
    pipeline = "/v0/pipelines/metrics-of-processes"
    connector = CONNECTOR.replace("/v0/pipelines/demo", pipeline)
    report = {"position": {"received": 1, "completed": 1}}
    for version in range(20):
        answer = requests.put(
            f"{server.base}{connector}/stats", json=report, headers={"If-Match": f'"{version}"'}, timeout=10
        )
        assert answer.status_code == (204 if version else 201)
    requests.put(f"{server.base}{connector}/stats", json=report, headers={"If-Match": '"1"'}, timeout=10)
    requests.post(f"{server.base}{pipeline}/reports", json=[{"table": "orders", "connector": "x"} | report], timeout=10)
    token = server.get(f"{connector}/completion_token").json()["token"]
    server.get(f"{pipeline}/completion_status?token={token}")
    server.get("/nowhere")
    for _ in range(10):
        samples = told(server)
        assert samples["tidemark_request_duration_seconds_count:connectors.put_report:204"] == 19
        assert samples["tidemark_request_duration_seconds_count:connectors.put_report:201"] == 1
        assert samples["tidemark_request_duration_seconds_count:connectors.put_report:412"] == 1
        assert samples["tidemark_request_duration_seconds_count:none:404"] == 1
        assert samples["tidemark_calls_total:report:ok"] == 20
        assert samples["tidemark_calls_total:report:PreconditionFailed"] == 1
        assert samples["tidemark_calls_total:report:PreconditionRequired"] == 1
        assert samples["tidemark_calls_total:issue:ok"] == samples["tidemark_calls_total:check:ok"] == 1
        assert samples["tidemark_batch_items_count:report"] == 22
    until(lambda: count(server, "tidemark_processes") == 2)
    until(lambda: count(server, "tidemark_thread_last_success_timestamp_seconds:maintenance") > 1.7e9)


def test_who_waits_is_seen_and_gauges_of_a_process_end_with_it(server: Server) -> None:
    report = {"position": {"received": 1, "completed": 0}}
    requests.put(f"{server.base}{CONNECTOR}/stats", json=report, headers={"If-Match": '"0"'}, timeout=10)
    with requests.get(f"{server.base}/v0/events", stream=True, timeout=60) as stream:
        assert stream.status_code == 200
        until(lambda: count(server, "tidemark_waiters") == count(server, "tidemark_streams") == 1)
        until(lambda: "tidemark_thread_last_success_timestamp_seconds:waiters" in told(server))
    until(lambda: count(server, "tidemark_waiters") == count(server, "tidemark_streams") == 0)
    counted = count(server, "tidemark_request_duration_seconds_count:events.stream_events:200")
    before = {worker.pid for worker in server.workers()}
    psutil.Process(min(before)).send_signal(signal.SIGKILL)
    until(lambda: len({worker.pid for worker in server.workers()} - before) == 1)
    until(lambda: count(server, "tidemark_processes") == 2)
    assert count(server, "tidemark_pool_connections_max") == 10
    assert counted == 1
    assert count(server, "tidemark_request_duration_seconds_count:events.stream_events:200") == 1


def test_a_reload_keeps_the_port_and_the_counts(server: Server) -> None:
    before = {worker.pid for worker in server.workers()}
    server.get("/healthz")
    counted = count(server, "tidemark_request_duration_seconds_count:service.healthz:200")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: not before & {worker.pid for worker in server.workers()})
    until(lambda: count(server, "tidemark_processes") == 2)
    assert count(server, "tidemark_request_duration_seconds_count:service.healthz:200") >= counted


def test_every_metric_is_documented_and_well_formed(server: Server) -> None:
    text = read(server)
    promtool("check", "metrics", given=text)
    families = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    documented = dict(re.findall(r"^\| `(tidemark_\w+)` \| (\w+) \|", (DOCS / "metrics.md").read_text(), re.MULTILINE))
    assert families == documented


def test_the_port_says_nothing_of_connectors_and_the_api_nothing_of_processes(server: Server) -> None:
    assert "input_connector" not in str(told(server))
    assert "tidemark_" not in server.get("/v0/metrics").text
    assert server.get("/metrics").status_code == 404
