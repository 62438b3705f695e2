"""Examples and headers for the OpenAPI document."""

from typing import Any

TOKEN = {"token": "ct1_djaxxyrm26tl6csiypn2pqkaqahzptjdk4d2vn6vlgj4c4g3oajq"}

REPORT = {
    "position": {"epoch": "run-1", "received": 1042, "completed": 1017},
    "interval_seconds": 1.0,
    "metrics": {"total_records": 1041, "buffered_records": 25},
    "health": {"status": "Healthy", "description": None},
}

STATS: dict[str, Any] = {
    "endpoint_name": "orders.billing",
    "config": {"stream": "orders"},
    "metrics": {
        "total_bytes": 0,
        "total_records": 1041,
        "buffered_records": 25,
        "buffered_bytes": 0,
        "num_transport_errors": 0,
        "num_parse_errors": 0,
        "end_of_input": False,
    },
    "fatal_error": None,
    "parse_errors": [],
    "transport_errors": [],
    "health": {"status": "Healthy", "description": None},
    "paused": False,
    "barrier": False,
    "completed_frontier": None,
    "recorded": {
        "version": 7,
        "recorded_at": "2026-01-31T12:00:00.000000Z",
        "recording": "sampled",
        "interval_seconds": 1.0,
        "epoch": "run-1",
        "epoch_number": 1,
        "received": 1042,
        "completed": 1017,
        "completed_version": 5,
        "lag_records": 25,
        "lag_seconds": 1.5,
    },
}

PIPELINE = {
    "id": "0b0d9a5c-6c0f-5b3e-8f0a-0f4c7a0c2a11",
    "name": "demo",
    "description": "",
    "created_at": "2026-01-31T12:00:00.000000Z",
    "deployment_status": "Running",
    "deployment_status_since": "2026-01-31T12:00:00.000000Z",
    "program_info": None,
}

PIPELINE_STATS: dict[str, Any] = {
    "checkpoint_activity": None,
    "global_metrics": {
        "state": "Running",
        "incarnation_uuid": "3f1f3d3e-3a86-4f0c-9f0e-5b7b5f2f9a10",
        "start_time": 1769860800,
        "transaction_status": "NoTransaction",
        "total_input_records": 1041,
        "total_input_bytes": 0,
        "buffered_input_records": 25,
        "buffered_input_bytes": 0,
        "total_processed_records": 1016,
        "pipeline_complete": False,
    },
    "inputs": [{name: value for name, value in STATS.items() if not name.endswith("_errors")}],
    "outputs": [],
    "permanent_checkpoint_errors": None,
    "suspend_error": None,
}

EXPLANATION: dict[str, Any] = {
    "token": TOKEN["token"],
    "status": "inprogress",
    "reason": "24 records are still to be completed, which takes about 2 s.",
    "error": None,
    "pipeline": "demo",
    "table": "orders",
    "connector": "billing",
    "issued_at": "2026-01-31T11:59:58.250000Z",
    "issued_by": "nightly-job",
    "epoch": "run-1",
    "epoch_number": 1,
    "version": 7,
    "completed_version": 5,
    "binding": 6,
    "bound": True,
    "bound_version": 6,
    "completed_after": None,
    "completed_by": None,
    "holding_back": {
        "reports": 0,
        "missing_records": 24,
        "waiting_since": "2026-01-31T11:59:59.500000Z",
        "lag_seconds": 0.75,
        "components": [{"component": None, "needed": 1041, "reached": 1017, "missing": 24}],
        "more_components": 0,
        "pipeline_stopped": False,
        "lifecycle": "running",
        "progress": "moving",
        "recorded_at": "2026-01-31T12:00:00.000000Z",
        "not_reporting_since": None,
        "rate": {
            "records_per_second": 10.0,
            "records": 550,
            "since": "2026-01-31T11:59:05.000000Z",
            "until": "2026-01-31T12:00:00.000000Z",
        },
        "eta": {
            "at": "2026-01-31T12:00:02.400000Z",
            "seconds": 2.15,
            "component": None,
            "records_per_second": 10.0,
        },
    },
}

EVENT_CURSOR = "AVmT5lQ0yQ3xAAAAAAAAAAAAAAAAAAADSQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
EVENTS = {
    "events": [
        {
            "pipeline": "demo",
            "table": "orders",
            "connector": "billing",
            "kind": "failed",
            "version": 7,
            "at": "2026-01-31T12:00:00.000000Z",
            "details": {"error": "the disk is full"},
        }
    ],
    "next": f"?from=2026-01-31T00%3A00%3A00.000000Z&to=2026-02-01T00%3A00%3A00.000000Z&limit=1&cursor={EVENT_CURSOR}",
}

ERRORS: dict[str, Any] = {
    "parse_errors": [
        {"missing_from": 1, "missing_to": 41},
        {"index": 42, "timestamp": "2026-01-31T12:00:00.000000Z", "tag": "json", "message": "no comma"},
    ],
    "transport_errors": [],
}

_POINT: dict[str, Any] = {
    "at": "2026-01-31T11:00:00.000000Z",
    "received_per_second": 10.0,
    "completed_per_second": 9.5,
    "records_per_second": 10.0,
    "bytes_per_second": 4120.0,
    "observations": 30,
    "reports": 300,
    "received_delta": 3000,
    "completed_delta": 2850,
    "records_delta": 3000,
    "bytes_delta": 1236000,
    "parse_errors": 0,
    "transport_errors": 0,
    "failures": 0,
    "epochs": 0,
    "lag_records_min": 0,
    "lag_records_avg": 21.5,
    "lag_records_max": 150,
    "lag_records_p95": 90,
    "lag_seconds_min": 0.0,
    "lag_seconds_avg": 1.2,
    "lag_seconds_max": 8.0,
    "lag_seconds_p95": 5.5,
    "running_seconds": 300.0,
    "paused_seconds": 0.0,
    "finished_seconds": 0.0,
    "failed_seconds": 0.0,
    "unknown_seconds": 0.0,
    "idle_seconds": 40.0,
    "moving_seconds": 260.0,
    "stalled_seconds": 0.0,
    "rewound_seconds": 0.0,
    "healthy_seconds": 300.0,
    "unhealthy_seconds": 0.0,
    "tokens_issued": 2,
    "tokens_completed": 2,
    "tokens_lost": 0,
    "token_latency_avg": 3.1,
    "token_latency_p50": 2.2,
    "token_latency_p95": 4.0,
    "token_latency_max": 4.0,
}
HISTORY = {
    "pipeline": "demo",
    "table": "orders",
    "connector": "billing",
    "from": "2026-01-31T11:00:00.000000Z",
    "to": "2026-01-31T11:10:00.000000Z",
    "step": 300,
    "resolution": "raw",
    "points": [_POINT, dict.fromkeys(_POINT) | {"at": "2026-01-31T11:05:00.000000Z"}],
}


def header(description: str, example: str) -> dict[str, Any]:
    """A response header."""
    return {"description": description, "schema": {"type": "string"}, "example": example}


def parameter(name: str, where: str, description: str, example: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """An optional parameter of a request."""
    return {"name": name, "in": where, "description": description, "example": example, "schema": schema}


ETAG = {"ETag": header("The version of the record.", '"7"')}
STATS_HEADERS = {**ETAG, "Last-Modified": header("When it was recorded.", "Sat, 31 Jan 2026 12:00:00 GMT")}
IF_MATCH = parameter("If-Match", "header", "The version seen before measuring, in quotes.", '"7"', {"type": "string"})
IF_NONE_MATCH = parameter("If-None-Match", "header", "A version already known, in quotes.", '"7"', {"type": "string"})

METRICS = (
    "# HELP input_connector_records_total Total number of records received by an input connector.\n"
    "# TYPE input_connector_records_total counter\n"
    'input_connector_records_total{pipeline="73aedd93-b48f-5c8e-a3f3-2ee5f9f4dfb8",pipeline_name="demo",'
    'endpoint="orders.billing",table="orders"} 1041\n'
)
