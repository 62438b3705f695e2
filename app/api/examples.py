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
