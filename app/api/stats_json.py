"""Connectors' stats as JSON, straight from their rows: what is read often is not serialized through schemas.

The members and their order are the dialect's (contract, "Stats"); a test holds them equal to `StatsSchema`.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.domain.frontier import lag
from app.domain.names import stream_name
from app.domain.position import Position
from app.domain.status import ErrorKind, format_time, stale_for
from app.store.engine import AnyRow

_COUNTERS = (
    "total_bytes",
    "total_records",
    "buffered_records",
    "buffered_bytes",
    "num_transport_errors",
    "num_parse_errors",
    "end_of_input",
)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dump(value: Any) -> bytes:
    """The JSON text of an answer, in one line."""
    return _encode(value).encode() + b"\n"


def connector_stats(row: AnyRow, *, with_errors: bool = True) -> dict[str, Any]:
    """One connector's stats."""
    errors = {f"{kind.value}_errors": _errors(row.errors, kind) for kind in ErrorKind} if with_errors else {}
    return {
        "endpoint_name": f"{row.table_name}.{row.connector_name}",
        "config": {"stream": stream_name(row.table_name)},
        "metrics": _metrics(row),
        "fatal_error": row.fatal_error,
        **errors,
        "health": _health(row),
        "paused": row.paused,
        "barrier": row.barrier,
        "completed_frontier": _completed_frontier(row.completed_frontier),
        "recorded": _recorded(row),
    }


def pipeline_stats(pipeline: AnyRow, rows: Sequence[AnyRow], *, with_errors: bool) -> dict[str, Any]:
    """A pipeline's stats: its connectors', and the sums over them."""
    return {
        "checkpoint_activity": None,
        "global_metrics": _global_metrics(pipeline, rows),
        "inputs": [connector_stats(row, with_errors=with_errors) for row in rows],
        "outputs": [],
        "permanent_checkpoint_errors": None,
        "suspend_error": None,
    }


def reported_health(row: AnyRow) -> dict[str, Any] | None:
    """The member ``health`` as it was reported."""
    if row.health_status is None:
        return None
    return {"status": row.health_status, "description": row.health_description}


def stale_health(age: float) -> dict[str, Any]:
    """The member ``health`` once the last report is so many seconds old, which is too old."""
    return {"status": "Unhealthy", "description": f"no report for {age:.0f} s"}


def _global_metrics(pipeline: AnyRow, rows: Sequence[AnyRow]) -> dict[str, Any]:
    total, buffered = sum(row.total_records for row in rows), sum(row.buffered_records for row in rows)
    return {
        "state": pipeline.status,
        "incarnation_uuid": str(pipeline.incarnation),
        "start_time": int(pipeline.started_at.timestamp()),
        "transaction_status": "NoTransaction",
        "total_input_records": total,
        "total_input_bytes": sum(row.total_bytes for row in rows),
        "buffered_input_records": buffered,
        "buffered_input_bytes": sum(row.buffered_bytes for row in rows),
        "total_processed_records": max(0, total - buffered),
        "pipeline_complete": bool(rows) and all(_is_complete(row) for row in rows),
    }


def _is_complete(row: AnyRow) -> bool:
    nothing_waits = row.epoch_number == 0 or row.waiting_since is None
    return bool(row.end_of_input and row.buffered_records == 0 and nothing_waits)


def _metrics(row: AnyRow) -> dict[str, Any]:
    metrics = {name: getattr(row, name) for name in _COUNTERS}
    if row.processing_latency_p99_micros is not None:
        metrics["processing_latency_p99_micros"] = row.processing_latency_p99_micros
    return metrics


def _health(row: AnyRow) -> dict[str, Any] | None:
    age = stale_for(row.recorded_at, row.interval_seconds, row.now)
    return reported_health(row) if age is None else stale_health(age)


def _errors(errors: list[dict[str, Any]] | None, kind: ErrorKind) -> list[dict[str, Any]]:
    return [
        {
            "timestamp": format_time(datetime.fromisoformat(error["timestamp"])),
            "index": error["index"],
            "tag": error["tag"],
            "message": error["message"],
        }
        for error in errors or ()
        if error["kind"] == kind.value
    ]


def _completed_frontier(frontier: dict[str, Any] | None) -> dict[str, Any] | None:
    """The members in the dialect's order, which the database does not keep."""
    return frontier and {name: frontier[name] for name in ("metadata", "ingested_at", "processed_at", "completed_at")}


def _recorded(row: AnyRow) -> dict[str, Any]:
    waiting_since = datetime.fromisoformat(row.waiting_since) if row.waiting_since else None
    behind = lag(_position(row.received), _position(row.completed), waiting_since=waiting_since, as_of=row.recorded_at)
    return {
        "version": row.version,
        "recorded_at": format_time(row.recorded_at),
        "recording": row.recording,
        "interval_seconds": row.interval_seconds,
        "epoch": row.epoch_label,
        "epoch_number": row.epoch_number,
        "received": row.received,
        "completed": row.completed,
        "completed_version": row.completed_version,
        "lag_records": behind.records,
        "lag_seconds": behind.seconds,
    }


def _position(value: Any) -> Position | None:
    return None if value is None else Position.parse(value)
