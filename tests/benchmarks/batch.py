"""Batches of 1,000 reports over HTTP, against the same writes by psycopg in one hand-written array statement.

The same writes: what ours made of a batch is read back, untimed, and written by hand to the connectors of a twin
pipeline, which are then equal to ours in every column, their observations included. By hand nothing is validated, no
frontier computed and nothing read first: the rows are given, and timed is only the statement and its COMMIT. On both
sides one client writes one batch after another.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg.rows import dict_row

from tests.benchmarks import data

OURS, BY_HAND = 8, 9  # pipelines
_WRITE = (Path(__file__).with_name("sql") / "write_reports.sql").read_text()
_JSON = ("received", "completed", "frontier", "completed_frontier")
_READ = """
    SELECT c.*, o.lag_records AS observed_lag_records, o.lag_seconds
      FROM connector AS c
      JOIN pipeline AS p ON p.id = c.pipeline_id
      LEFT JOIN observation AS o
             ON o.connector_id = c.id AND o.recorded_at = c.recorded_at AND o.version = c.version
     WHERE p.name = %s
     ORDER BY c.connector_name
"""
_OWN = ("id", "tenant_id", "pipeline_id", "created_at")  # a connector's own, which its twin does not share

Rows = list[dict[str, Any]]


def rates(base: str, url: str, rounds: int) -> tuple[float, float]:
    """Rows a second of ours and by hand, the medians of as many batches each."""
    ours, by_hand = [], []
    with psycopg.connect(url, row_factory=dict_row, options="-c jit=off") as connection, requests.Session() as http:
        _make_twins(connection)
        for _ in range(rounds):
            ours.append(data.CONNECTORS / _report(http, base, connection))
            by_hand.append(data.CONNECTORS / _write(connection))
        _check_twins(connection)
    return statistics.median(ours), statistics.median(by_hand)


def _report(http: requests.Session, base: str, connection: psycopg.Connection[dict[str, Any]]) -> float:
    """Seconds for one batch of ours."""
    before = _read(connection, OURS)
    reports = [data.report(int(row["connector_name"][1:]), row["version"]) for row in before]
    body = json.dumps(reports)
    start = time.perf_counter()
    answer = http.post(
        f"{base}/v0/pipelines/{data.pipeline(OURS)}/reports",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    seconds = time.perf_counter() - start
    assert {result["status"] for result in answer.json()} == {204}, answer.text[:500]
    return seconds


def _write(connection: psycopg.Connection[dict[str, Any]]) -> float:
    """Seconds for the same one by hand."""
    parameters = _parameters(_read(connection, OURS), _read(connection, BY_HAND))
    start = time.perf_counter()
    written = connection.execute(_WRITE, parameters, prepare=True).fetchone()
    connection.commit()
    seconds = time.perf_counter() - start
    assert written == {"count": data.CONNECTORS}, written
    return seconds


def _parameters(rows: Rows, twins: Rows) -> dict[str, Any]:
    """An array a column."""
    arrays: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0] if name not in _OWN}
    for name in _JSON:
        arrays[name] = [None if value is None else json.dumps(value) for value in arrays[name]]
    arrays["id"] = [twin["id"] for twin in twins]
    arrays["expected_version"] = [twin["version"] for twin in twins]
    return arrays


def _make_twins(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """Makes the second pipeline's connectors equal to those of the first one, and forgets older observations."""
    rows, twins = _read(connection, OURS), _read(connection, BY_HAND)
    connection.execute(_WRITE, _parameters(rows, twins), prepare=True)
    ids = [row["id"] for row in (*rows, *twins)]
    connection.execute("DELETE FROM observation WHERE connector_id = ANY(%s)", (ids,))
    connection.commit()


def _check_twins(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """Both ways have written the same to every connector, and as many observations."""
    ours, by_hand = (
        [{name: value for name, value in row.items() if name not in _OWN} for row in _read(connection, pipeline)]
        for pipeline in (OURS, BY_HAND)
    )
    assert ours == by_hand, next(pair for pair in zip(ours, by_hand, strict=True) if pair[0] != pair[1])
    counts = connection.execute(
        "SELECT p.name, count(*) FROM observation AS o JOIN connector AS c ON c.id = o.connector_id"
        " JOIN pipeline AS p ON p.id = c.pipeline_id WHERE p.name = ANY(%s) GROUP BY 1",
        ([data.pipeline(OURS), data.pipeline(BY_HAND)],),
    ).fetchall()
    assert len({row["count"] for row in counts}) <= 1, counts


def _read(connection: psycopg.Connection[dict[str, Any]], pipeline: int) -> Rows:
    rows = connection.execute(_READ, (data.pipeline(pipeline),)).fetchall()
    connection.commit()
    return rows
