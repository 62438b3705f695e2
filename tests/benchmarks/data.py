"""The data that every alternative is measured on: 10,000 connectors with positions, some of them with errors."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
import sqlalchemy as sa

PIPELINES = 10
CONNECTORS = 1000  # a pipeline, and so a batch of reports
TABLE = "orders"
_WITH_ERRORS = 50  # every so manieth connector has some


def pipeline(number: int) -> str:
    return f"p{number}"


def connector_path(number: int, connector: int) -> str:
    return f"/v0/pipelines/{pipeline(number)}/tables/{TABLE}/connectors/c{connector}"


def all_paths() -> Iterator[str]:
    """Every connector's path."""
    for number in range(PIPELINES):
        for connector in range(CONNECTORS):
            yield connector_path(number, connector)


def report(connector: int, version: int) -> dict[str, Any]:
    """The report that a connector makes when it is at this version."""
    received = 1000 * (version + 1) + connector
    body: dict[str, Any] = {
        "table": TABLE,
        "connector": f"c{connector}",
        "if_match": version,
        "position": {
            "epoch": "run-1",
            "received": {"0": received, "1": received + 7, "2": received + 11},
            "completed": {"0": received - 500, "1": received - 500, "2": received - 500},
        },
        "interval_seconds": 3600,
        "metrics": {
            "total_bytes": 412 * received,
            "total_records": 3 * received,
            "buffered_records": 1518,
            "buffered_bytes": 412 * 1518,
            "processing_latency_p99_micros": 48211,
        },
        "health": {"status": "Healthy"},
    }
    if version == 0 and connector % _WITH_ERRORS == 0:
        body["parse_errors"] = [_error(1, "price: not a number: 'n/a'"), _error(2, "unexpected end of line")]
        body["transport_errors"] = [_error(1, "broker 3: connection reset by peer")]
    return body


def send_reports(base: str, number: int, version: int) -> None:
    """Reports every connector of a pipeline once; each must be accepted."""
    reports = [report(connector, version) for connector in range(CONNECTORS)]
    answer = requests.post(f"{base}/v0/pipelines/{pipeline(number)}/reports", json=reports, timeout=60)
    answer.raise_for_status()
    refused = [result for result in answer.json() if result["status"] not in (201, 204)]
    assert not refused, refused[0]


def fill(base: str) -> None:
    """Makes every connector, by two reports through the server at ``base``: the first one's input is then completed."""
    with ThreadPoolExecutor(2) as threads:
        for version in range(2):
            list(threads.map(lambda number, version=version: send_reports(base, number, version), range(PIPELINES)))


def renew(connection: sa.Connection) -> None:
    """Gives every connector a new version, as if each had just reported the same again."""
    connection.execute(sa.text("UPDATE connector SET version = version + 1"))


def some_paths(number: int) -> list[str]:
    """So many connectors' paths, of all pipelines, with and without errors."""
    paths = list(all_paths())
    return paths[:: len(paths) // number]


def _error(index: int, message: str) -> dict[str, Any]:
    return {"timestamp": "2026-01-31T12:00:00.000000Z", "index": index, "tag": "worker-1", "message": message}
