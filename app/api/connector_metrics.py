"""The metrics of connectors, under Feldera's names where it has any (docs/metrics.md)."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from app.api.exposition import histogram, label, lines, one, state
from app.api.pipeline_metrics import pipeline_labels, pipelines_text
from app.domain.activity import Lifecycle, Progress
from app.store.engine import AnyRow
from app.store.fleet import NO_HEALTH
from app.store.scrape import LATENCY_BOUNDS


def exposition(rows: Sequence[AnyRow]) -> bytes:
    """The metrics of the rows of ``sql/read_metrics.sql``, pipelines' included, in Prometheus' text format."""
    connectors = [(row, _labels(row)) for row in rows if row.connector_id is not None]
    return "".join([*pipelines_text(rows), *lines(_FAMILIES, connectors)]).encode()


def _labels(row: AnyRow) -> str:
    """The endpoint alone would be ambiguous, since names may hold dots; with its table it is not."""
    endpoint = f"{row.table_name}.{row.connector_name}"
    return f"{pipeline_labels(row)},{label('endpoint', endpoint)},{label('table', row.table_name)}"


def _p99(row: Any) -> float | None:
    micros = row.processing_latency_p99_micros
    return None if micros is None else micros / 1e6


_FAMILIES = (
    one(
        "input_connector_bytes_total",
        "counter",
        "Total number of bytes received by an input connector.",
        attrgetter("total_bytes"),
    ),
    one(
        "input_connector_records_total",
        "counter",
        "Total number of records received by an input connector.",
        attrgetter("total_records"),
    ),
    one(
        "input_connector_buffered_records",
        "gauge",
        "Amount of data currently buffered by an input connector, in records.",
        attrgetter("buffered_records"),
    ),
    one(
        "input_connector_buffered_records_bytes",
        "gauge",
        "Amount of data currently buffered by an input connector, in bytes.",
        attrgetter("buffered_bytes"),
    ),
    one(
        "input_connector_errors_transport_total",
        "counter",
        "Total number of errors encountered by the input connector at the transport layer.",
        attrgetter("num_transport_errors"),
    ),
    one(
        "input_connector_errors_parse_total",
        "counter",
        "Total number of errors encountered parsing records received by the input connector.",
        attrgetter("num_parse_errors"),
    ),
    one(
        "input_connector_running",
        "gauge",
        "Whether the input connector runs: it is neither paused nor failed, and its input has not ended.",
        lambda row: row.lifecycle == Lifecycle.RUNNING.value,
    ),
    one(
        "input_connector_end_of_input",
        "gauge",
        "Whether the input of an input connector has ended.",
        attrgetter("end_of_input"),
    ),
    one(
        "input_connector_processing_latency_p99_seconds",
        "gauge",
        "99th percentile of the processing latency, as the engine reported it.",
        _p99,
    ),
    one(
        "input_connector_lag_records",
        "gauge",
        "Records received and not yet completed, by the newest report; absent where it is not known.",
        attrgetter("lag_records"),
    ),
    one(
        "input_connector_lag_seconds",
        "gauge",
        "Age of the oldest input that is not completed, 0 if none waits; absent without a position.",
        attrgetter("lag_seconds"),
    ),
    state(
        "input_connector_lifecycle",
        "lifecycle",
        "What the input connector is: 1 for the present lifecycle, 0 for the others.",
        [each.value for each in Lifecycle if each is not Lifecycle.REMOVED],
        lambda row: str(row.lifecycle),
    ),
    state(
        "input_connector_progress",
        "progress",
        "Whether the input connector gets on: 1 for the present progress, 0 for the others.",
        [each.value for each in Progress],
        lambda row: str(row.progress),
    ),
    state(
        "input_connector_health",
        "health",
        "Health of the input connector: 1 for the present one, 0 for the others; none: it tells of none.",
        ["Healthy", "Unhealthy", NO_HEALTH],
        lambda row: row.health_status or NO_HEALTH,
    ),
    one(
        "input_connector_report_age_seconds",
        "gauge",
        "Time since the newest report.",
        attrgetter("report_age_seconds"),
    ),
    one(
        "input_connector_not_reporting",
        "gauge",
        "Whether the newest report is older than three of its intervals.",
        attrgetter("not_reporting"),
    ),
    one(
        "input_connector_reports_total",
        "counter",
        "Reports accepted: the version of the record.",
        attrgetter("version"),
    ),
    one(
        "input_connector_epochs_total",
        "counter",
        "Epochs of positions begun; with each new one the tokens in progress are lost.",
        attrgetter("last_epoch"),
    ),
    one(
        "input_connector_tokens_issued_total",
        "counter",
        "Completion tokens issued since the last full quarter of an hour.",
        attrgetter("tokens_issued"),
    ),
    one(
        "input_connector_tokens_completed_total",
        "counter",
        "Completion tokens observed to be complete since the last full quarter of an hour.",
        attrgetter("tokens_completed"),
    ),
    histogram(
        "input_connector_token_latency_seconds",
        "Time from the issue of a completion token to the first observation that shows it complete.",
        LATENCY_BOUNDS,
        lambda row: (row.tokens_within, row.tokens_completed, row.token_seconds),
    ),
)
