"""Single conditional reports from 64 connections, against pgbench doing the same transaction, in turn."""

import statistics
import time
from contextlib import AbstractContextManager
from pathlib import Path

import sqlalchemy as sa

from tests.benchmarks import data, database
from tests.benchmarks.load import Mix, mix, wrk
from tests.benchmarks.servers import Server

_SCRIPT = Path(__file__).with_name("reports.lua")
_PIPELINE = 8
_SETTLE_SECONDS = 0.5  # for the reports that were on their way when wrk had enough


def rates(server: Server, engine: sa.Engine, directory: Path, seconds: float, rounds: int) -> tuple[float, float]:
    """Reports a second to a thousand connectors: the server's, and pgbench's. Each of the server's must be accepted."""
    with engine.begin() as connection:
        database.prepare_connectors(connection)
    ours, by_pgbench = [], []
    for _ in range(rounds):
        with _versions(engine) as reports:
            ours.append(wrk(server.base, reports, seconds, script=_SCRIPT).rate)
        time.sleep(_SETTLE_SECONDS)
        by_pgbench.append(
            database.rate(engine.url, "write_report", "bench_connector", data.CONNECTORS, seconds, directory)
        )
    return statistics.median(ours), statistics.median(by_pgbench)


def _versions(engine: sa.Engine) -> AbstractContextManager[Mix]:
    """A line for each connector: its path, its number and its version."""
    sql = (
        "SELECT c.connector_name, c.version FROM connector AS c JOIN pipeline AS p ON p.id = c.pipeline_id"
        " WHERE p.name = :pipeline"
    )
    with engine.connect() as connection:
        rows = connection.execute(sa.text(sql), {"pipeline": data.pipeline(_PIPELINE)})
        versions: dict[str, int] = {row.connector_name: row.version for row in rows}
    return mix(
        f"{data.connector_path(_PIPELINE, number)}/stats {number} {versions[f'c{number}']}"
        for number in range(data.CONNECTORS)
    )
