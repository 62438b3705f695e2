"""The metrics of pipelines: their status, and sums over their connectors (docs/metrics.md)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from app.api.exposition import label, lines, one, state
from app.store.engine import AnyRow
from app.store.status import PIPELINE_STATUSES


def pipelines_text(rows: Sequence[AnyRow]) -> Iterator[str]:
    """The metrics of the pipelines in rows of ``sql/read_metrics.sql``, in Prometheus' text format."""
    return lines(_FAMILIES, [(each, each.labels) for each in _pipelines(rows)])


def pipeline_labels(row: AnyRow) -> str:
    """What tells a row's pipeline from others, as Feldera writes it."""
    return f"{label('pipeline', str(row.pipeline_id))},{label('pipeline_name', row.pipeline)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pipeline:
    """A pipeline, and the sums over its connectors."""

    labels: str
    status: str
    started_at: datetime
    total_records: int
    total_bytes: int
    buffered_records: int
    buffered_bytes: int
    complete: bool


def _pipelines(rows: Sequence[AnyRow]) -> Iterable[_Pipeline]:
    for _, group in groupby(rows, key=attrgetter("pipeline_id")):
        members = list(group)
        connectors = [row for row in members if row.connector_id is not None]
        sums = {name: sum(getattr(row, name) for row in connectors) for name in _SUMMED}
        complete = [row.end_of_input and row.buffered_records == 0 and row.nothing_waits for row in connectors]
        yield _Pipeline(
            labels=pipeline_labels(members[0]),
            status=members[0].pipeline_status,
            started_at=members[0].started_at,
            complete=bool(complete) and all(complete),
            **sums,
        )


_SUMMED = ("total_records", "total_bytes", "buffered_records", "buffered_bytes")


_FAMILIES = (
    state(
        "pipeline_deployment_status",
        "deployment_status",
        "Status of the pipeline as last reported: 1 for the present one, 0 for the others.",
        PIPELINE_STATUSES,
        attrgetter("status"),
    ),
    one(
        "pipeline_start_time_seconds",
        "gauge",
        "Start time of the pipeline in seconds since the Unix epoch.",
        lambda pipeline: pipeline.started_at.timestamp(),
    ),
    one("pipeline_complete", "gauge", "Transitions from 0 to 1 when pipeline completes.", attrgetter("complete")),
    one(
        "records_input_total",
        "counter",
        "Total amount of data received from all connectors, in records.",
        attrgetter("total_records"),
    ),
    one(
        "records_input_bytes_total",
        "counter",
        "Total amount of data received from all connectors, in bytes.",
        attrgetter("total_bytes"),
    ),
    one(
        "records_input_buffered",
        "gauge",
        "Total amount of data currently buffered by all endpoints, in records.",
        attrgetter("buffered_records"),
    ),
    one(
        "records_input_buffered_bytes",
        "gauge",
        "Total amount of data currently buffered by all endpoints, in bytes.",
        attrgetter("buffered_bytes"),
    ),
    one(
        "records_processed_total",
        "counter",
        "Total amount of input processed by the pipeline, in records.",
        lambda pipeline: max(0, pipeline.total_records - pipeline.buffered_records),
    ),
)
