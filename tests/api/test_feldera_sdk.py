"""Feldera's own Python SDK, as it comes from PyPI, against a live server that asks for API keys."""

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from feldera import FelderaClient, Pipeline
from feldera.enums import CompletionTokenStatus, PipelineStatus, TransactionStatus
from feldera.rest.errors import FelderaAPIError
from feldera.rest.feldera_config import FelderaEdition
from feldera.rest.retry import RetryConfig

from app.domain.roles import Role
from tests.api.client import FULL, PIPELINE, Api, changed
from tests.api.conftest import MakeKey

# As a user of the SDK writes them, and as Tidemark's answers name them.
TABLES = {
    "numbers1": ("numbers1", "numbers1"),
    "NUMBERS1": ("numbers1", "numbers1"),
    '"Numbers1"': ("Numbers1", '"Numbers1"'),
    '"numbers +C0_-,.!%()&/"': ("numbers +C0_-,.!%()&/", '"numbers +C0_-,.!%()&/"'),
    '"my.input.table"': ("my.input.table", "my.input.table"),
}
every_table = pytest.mark.parametrize("table", TABLES)


@pytest.fixture
def key(make_key: MakeKey, tenant: str) -> str:
    return make_key(Role.WRITE, tenant)


@pytest.fixture
def client(live_server: str, key: str) -> FelderaClient:
    return FelderaClient(live_server, api_key=key, timeout=10)


@pytest.fixture
def pipeline(api: Api, client: FelderaClient) -> Pipeline:
    """The pipeline demo, with a full report of each table's connector c, at version 1."""
    for table, _ in TABLES.values():
        api.batch({"table": f'"{table}"', "connector": "c", "if_match": 0, **FULL})
    return Pipeline.get("demo", client)


@pytest.fixture
def advance(api: Api) -> Callable[[str, int], None]:
    """Sends the report that follows a version, all of whose input is complete."""

    def advance(table: str, version: int) -> None:
        report = changed(FULL, "position.completed", FULL["position"]["received"])
        (answer,) = api.batch({"table": table, "connector": "c", "if_match": version, **report}).get_json()
        assert answer["status"] == 204

    return advance


def plain(value: Any) -> Any:
    """An object of the SDK, whole, as plain values."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if type(value).__module__.startswith("feldera.stats"):
        return {name: plain(each) for name, each in vars(value).items()}
    return value


def at(second: int, microsecond: int = 0) -> datetime:
    return datetime(2026, 1, 31, 12, 0, second, microsecond, tzinfo=UTC)


def expected(table: str) -> dict[str, Any]:
    """What the SDK is to make of FULL."""
    name, stream = TABLES[table]
    return {
        "endpoint_name": f"{name}.c",
        "config": {"stream": stream},
        "metrics": FULL["metrics"],
        "fatal_error": "the disk is full",
        "parse_errors": [
            {"timestamp": at(0, 250000), "index": 1, "tag": "json", "message": "no comma"},
            {"timestamp": at(1), "index": 2, "tag": None, "message": "no colon"},
        ],
        "transport_errors": [{"timestamp": at(2, 3), "index": 1, "tag": "io", "message": "reset"}],
        "health": {"status": "Unhealthy", "description": "no disk"},
        "paused": True,
        "barrier": True,
        "completed_frontier": {
            "metadata": {"offsets": [{"start": 0, "end": 100}]},
            "ingested_at": at(0),
            "processed_at": at(1, 500000),
            "completed_at": at(2, 123456),
        },
    }


def test_a_client_learns_the_servers_edition_and_version(client: FelderaClient) -> None:
    config = client.get_config()
    assert config.edition is FelderaEdition.OPEN_SOURCE
    assert isinstance(config.version, str)


def test_a_client_with_a_bad_key_is_refused_at_once(live_server: str) -> None:
    with pytest.raises(FelderaAPIError) as refused:
        FelderaClient(live_server, api_key="tmk_wrong", timeout=10)
    assert (refused.value.status_code, refused.value.error_code) == (401, "AuthenticationFailed")


@pytest.mark.parametrize("status", ["Running", "Paused", "Stopped"])
def test_a_pipeline_is_found_with_its_status(api: Api, client: FelderaClient, status: str) -> None:
    api.set_pipeline(status)
    pipeline = Pipeline.get("demo", client)
    assert (pipeline.name, pipeline.status()) == ("demo", PipelineStatus.from_str(status))
    assert [each.name for each in Pipeline.all(client)] == ["demo"]


def test_an_unknown_pipeline_is_not_found(client: FelderaClient) -> None:
    with pytest.raises(FelderaAPIError, match="not found") as refused:
        Pipeline.get("nothing", client)
    assert (refused.value.status_code, refused.value.error_code) == (404, "UnknownPipelineName")


def test_pipeline_stats_are_parsed(pipeline: Pipeline) -> None:
    stats = pipeline.stats()
    metrics = stats.global_metrics
    assert (metrics.state, metrics.transaction_status) == (PipelineStatus.RUNNING, TransactionStatus.NoTransaction)
    assert isinstance(metrics.incarnation_uuid, uuid.UUID)
    assert abs((datetime.now() - metrics.start_time).total_seconds()) < 60  # noqa: DTZ005 - as the SDK has it
    assert (metrics.total_input_records, metrics.total_processed_records) == (4 * 190, 4 * 185)
    assert metrics.pipeline_complete is False
    assert stats.outputs == []
    inputs = {each.endpoint_name: plain(each) for each in stats.inputs}
    without_errors = {"parse_errors": None, "transport_errors": None}
    assert inputs == {f"{TABLES[table][0]}.c": expected(table) | without_errors for table in TABLES}


def test_metrics_are_text(pipeline: Pipeline) -> None:
    text = pipeline.metrics()
    assert isinstance(text, str)
    labels = f'pipeline="{pipeline.id()}",pipeline_name="demo",endpoint="numbers1.c",table="numbers1"'
    assert f"input_connector_records_total{{{labels}}} 190" in text.splitlines()


@every_table
def test_all_of_an_input_connectors_stats_are_parsed(pipeline: Pipeline, table: str) -> None:
    assert plain(pipeline.input_connector_stats(table, "c")) == expected(table)


@every_table
def test_neutral_values_are_parsed(pipeline: Pipeline, api: Api, table: str) -> None:
    api.batch({"table": table, "connector": "bare", "if_match": 0})
    stats = plain(pipeline.input_connector_stats(table, "bare"))
    name, stream = TABLES[table]
    assert stats.pop("metrics") == {
        **dict.fromkeys(("total_bytes", "total_records", "buffered_records", "buffered_bytes"), 0),
        **dict.fromkeys(("num_transport_errors", "num_parse_errors"), 0),
        "end_of_input": False,
    }
    assert stats == {
        "endpoint_name": f"{name}.bare",
        "config": {"stream": stream},
        "fatal_error": None,
        "parse_errors": [],
        "transport_errors": [],
        "health": None,
        "paused": False,
        "barrier": False,
        "completed_frontier": None,
    }


@every_table
def test_a_token_is_issued_checked_and_waited_for(
    pipeline: Pipeline, advance: Callable[[str, int], None], table: str
) -> None:
    token = pipeline.generate_completion_token(table, "c")
    assert pipeline.completion_token_status(token) == CompletionTokenStatus.IN_PROGRESS
    advance(table, 1)
    assert pipeline.completion_token_status(token) == CompletionTokenStatus.IN_PROGRESS
    report = threading.Timer(0.2, advance, (table, 2))
    report.start()
    pipeline.wait_for_token(token)
    report.join()
    assert pipeline.completion_token_status(token) == CompletionTokenStatus.COMPLETE
    assert pipeline.client.completion_status("demo", token) == {"status": "complete", "step": 3}


@every_table
def test_names_need_not_be_encoded_where_the_url_allows_it(
    pipeline: Pipeline, live_server: str, key: str, table: str
) -> None:
    connector = f"{live_server}{PIPELINE}/tables/{table}/connectors/c"  # as SDK 0.337 put it together
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    stats = requests.get(f"{connector}/stats", headers=headers, timeout=10)
    assert (stats.status_code, stats.json()["endpoint_name"]) == (200, f"{TABLES[table][0]}.c")
    token = requests.get(f"{connector}/completion_token", headers=headers, timeout=10).json()["token"]
    checked = requests.get(f"{live_server}{PIPELINE}/completion_status?token={token}", headers=headers, timeout=10)
    assert (checked.status_code, checked.json()) == (202, {"status": "inprogress", "step": None})


def lost(pipeline: Pipeline, api: Api) -> None:
    token = pipeline.generate_completion_token("numbers1", "c")
    again = changed(FULL, "position.epoch", "run-2")
    api.batch({"table": "numbers1", "connector": "c", "if_match": 1, **again})
    pipeline.wait_for_token(token)


def removed(pipeline: Pipeline, api: Api) -> None:
    token = pipeline.generate_completion_token("numbers1", "c")
    api.remove(f"{PIPELINE}/tables/numbers1/connectors/c")
    pipeline.wait_for_token(token)


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (lambda pipeline, _: pipeline.input_connector_stats("nothing", "c"), 404, "UnknownInputEndpoint"),
        (lambda pipeline, _: pipeline.generate_completion_token("numbers1", "x"), 404, "UnknownInputEndpoint"),
        (lambda pipeline, _: pipeline.completion_token_status("nothing"), 400, "InvalidParam"),
        (lost, 410, "PipelineRestarted"),
        (removed, 410, "UnknownEndpointInCompletionToken"),
    ],
)
def test_a_refusal_is_raised_with_its_code_and_message(
    pipeline: Pipeline, api: Api, ask: Callable[[Pipeline, Api], None], status: int, code: str
) -> None:
    with pytest.raises(FelderaAPIError) as refused:
        ask(pipeline, api)
    assert (refused.value.status_code, refused.value.error_code) == (status, code)
    assert refused.value.message


def test_a_stopped_pipeline_is_asked_again_until_it_runs(api: Api, live_server: str, key: str) -> None:
    api.position(1, 1, 0)
    api.set_pipeline("Stopped")
    start = threading.Timer(0.1, api.set_pipeline, ("Running",))
    start.start()
    patient = FelderaClient(live_server, api_key=key, timeout=10, retry_config=RetryConfig(max_backoff=0.3))
    assert patient.generate_completion_token("demo", "orders", "billing").startswith("ct1_")
    start.join()


def test_a_key_made_by_the_sdk_works(client: FelderaClient, live_server: str) -> None:
    made = client.create_api_key("sdk", role="read")
    assert made.keys() == {"id", "name", "api_key"}
    assert FelderaClient(live_server, api_key=made["api_key"], timeout=10).pipelines() == []
