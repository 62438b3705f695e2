"""Does a batch of reports go to Postgres faster as one JSON parameter, as it does, or as thirty arrays by ``unnest``?

Wall time of the one statement, in turn. It is the only question here that looks inside the program.
"""

import json
import re
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from app.domain.connector import Report, StreamPosition, accept
from app.domain.names import Address, tenant_id
from app.domain.position import Position
from app.services.report import Addressed, record
from app.store import reports
from app.store.engine import make_engine, statement, transact
from tests.benchmarks.table import Comparison

KEEP_EVERY = timedelta(seconds=10)
TENANT = tenant_id("default")
POSITION = StreamPosition(epoch="run-1", received=Position.parse(5), completed=Position.parse(3))
ROUNDS = {1: 100, 50: 30, 1000: 8}  # of a batch of so many

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
    found = re.search(r"json_to_recordset\(CAST\(:rows AS json\)\) AS r \((.*?)\n +\)", sql, re.DOTALL)
    assert found is not None
    columns = [(name, kind) for name, kind in (column.split() for column in found[1].split(","))]
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns)
    names = ", ".join(name for name, _ in columns)
    return columns, sa.text(f"{sql[: found.start()]}unnest({arrays}) AS r ({names}){sql[found.end() :]}")


COLUMNS, WITH_ARRAYS = _with_arrays()


def next_rows(connection: sa.Connection, addresses: list[Address]) -> Rows:
    """The rows of one more report to each connector."""
    loaded = reports.load(connection, [(address, "run-1") for address in addresses])
    rows = []
    for address, found in zip(addresses, loaded, strict=True):
        report = Report(if_match=found.connector.version, position=POSITION)
        accepted = accept(found.connector, report, now=found.now, closed_labels=(), keep_every=KEEP_EVERY)
        change = reports.Change(address=address, before=found.connector, after=accepted.connector, at=found.now)
        rows.append(reports._row(change) | reports._update_row(change))
    return rows


def timed(engine: sa.Engine, addresses: list[Address], way: Callable[[sa.Connection, Rows], None]) -> float:
    """Milliseconds for one batch."""

    def work(connection: sa.Connection) -> float:
        rows = next_rows(connection, addresses)
        start = time.perf_counter()
        way(connection, rows)
        return (time.perf_counter() - start) * 1000

    return transact(engine, work)


def compare(url: str) -> list[Comparison]:
    """JSON against arrays, for batches of each size."""
    engine = make_engine(url, pool_size=1)
    addresses = [Address(TENANT, "bench", "orders", f"c{n}") for n in range(max(ROUNDS))]
    first = [Addressed(address, Report(if_match=0, position=POSITION)) for address in addresses]
    for start in range(0, len(first), 100):
        transact(engine, partial(record, items=first[start : start + 100], keep_every=KEEP_EVERY))
    found = [_compare(engine, addresses[:size], rounds) for size, rounds in ROUNDS.items()]
    engine.dispose()
    return found


def _compare(engine: sa.Engine, addresses: list[Address], rounds: int) -> Comparison:
    taken: dict[Any, list[float]] = {as_json: [], as_arrays: []}
    for _ in range(rounds):
        for way, times in taken.items():
            times.append(timed(engine, addresses, way))
    return Comparison(
        name=f"update of {len(addresses):,} connectors, by JSON",
        unit="ms",
        ours=statistics.median(taken[as_json]),
        peer_name="by arrays",
        peer=statistics.median(taken[as_arrays]),
    )
