"""``make bench``: measured in turn in one run, because machines are noisy; the ratios are what counts.

One question so far: does a batch of reports go to Postgres faster as one JSON parameter, as it does, or as thirty
arrays through ``unnest``? Printed are medians of wall time and of the client's CPU time, for the one statement.
"""

import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.domain.connector import Report, StreamPosition, accept
from app.domain.names import Address, tenant_id
from app.domain.position import Position
from app.embedded import embedded_postgres
from app.services.report import Addressed, record
from app.store import reports, schema
from app.store.engine import make_engine, statement, transact

KEEP_EVERY = timedelta(seconds=10)
TENANT = tenant_id("default")
POSITION = StreamPosition(epoch="run-1", received=Position.parse(5), completed=Position.parse(3))
ROUNDS = {1: 200, 50: 60, 1000: 15}  # of a batch of so many

Rows = list[dict[str, Any]]


def as_json(connection: sa.Connection, rows: Rows) -> None:
    """What `app.store.reports` does."""
    connection.execute(statement("update_connectors"), {"rows": json.dumps(rows, default=str)})


def as_arrays(connection: sa.Connection, rows: Rows) -> None:
    """The same statement, reading from ``unnest``."""
    values = {
        name: [json.dumps(row[name]) if kind == "jsonb" and row[name] is not None else row[name] for row in rows]
        for name, kind in COLUMNS
    }
    connection.execute(WITH_ARRAYS, values)


def _with_arrays() -> tuple[list[tuple[str, str]], sa.TextClause]:
    sql = statement("update_connectors").text
    found = re.search(r"json_to_recordset\(CAST\(:rows AS json\)\) AS r \((.*?)\n       \)", sql, re.DOTALL)
    assert found is not None
    columns = [(name, kind) for name, kind in (column.split() for column in found[1].split(","))]
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns)
    names = ", ".join(name for name, _ in columns)
    return columns, sa.text(f"{sql[: found.start()]}unnest({arrays}) AS r ({names}){sql[found.end() :]}")


COLUMNS, WITH_ARRAYS = _with_arrays()


def next_rows(connection: sa.Connection, addresses: list[Address]) -> Rows:
    """The rows of one more report to each connector."""
    loaded = reports.load(connection, addresses[0].pipeline_id, [(a.id, "run-1") for a in addresses])
    rows = []
    for address, found in zip(addresses, loaded, strict=True):
        report = Report(if_match=found.connector.version, position=POSITION)
        accepted = accept(found.connector, report, now=found.now, closed_labels=(), keep_every=KEEP_EVERY)
        change = reports.Change(address=address, before=found.connector, after=accepted.connector, at=found.now)
        rows.append(reports._row(change) | {"expected_version": found.connector.version, "expected_removed": False})
    return rows


def timed(
    engine: sa.Engine, addresses: list[Address], way: Callable[[sa.Connection, Rows], None]
) -> tuple[float, float]:
    """Seconds on the wall and of the client's CPU for one batch."""

    def work(connection: sa.Connection) -> tuple[float, float]:
        rows = next_rows(connection, addresses)
        wall, cpu = time.perf_counter(), time.process_time()
        way(connection, rows)
        return time.perf_counter() - wall, time.process_time() - cpu

    return transact(engine, work)


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as directory, embedded_postgres(Path(directory)) as url:
        schema.upgrade(url)
        engine = make_engine(url, pool_size=1)
        addresses = [Address(TENANT, "bench", "orders", f"c{n}") for n in range(max(ROUNDS))]
        first = [Addressed(address, Report(if_match=0, position=POSITION)) for address in addresses]
        transact(engine, lambda c: record(c, TENANT, "bench", first, keep_every=KEEP_EVERY))
        print("reports  JSON wall/CPU ms  arrays wall/CPU ms  arrays : JSON")
        for size, rounds in ROUNDS.items():
            taken: dict[Any, list[tuple[float, float]]] = {as_json: [], as_arrays: []}
            for _ in range(rounds):
                for way, times in taken.items():
                    times.append(timed(engine, addresses[:size], way))
            (json_wall, json_cpu), (arrays_wall, arrays_cpu) = (
                tuple(1000 * statistics.median(column) for column in zip(*times, strict=True))
                for times in taken.values()
            )
            print(
                f"{size:7}  {json_wall:8.2f} {json_cpu:7.2f}  {arrays_wall:10.2f} {arrays_cpu:7.2f}"
                f"  {arrays_wall / json_wall:10.2f}"
            )
        engine.dispose()


if __name__ == "__main__":
    main()
