"""Limit (e): what Postgres alone does of the same statements, driven by pgbench on 64 connections."""

import re
import subprocess
from pathlib import Path

import sqlalchemy as sa

from app.embedded import bin_directory
from tests.benchmarks.load import CONNECTIONS

_SQL = Path(__file__).with_name("sql")


def program() -> Path | None:
    """pgbench of the embedded Postgres; None where that has none."""
    path = bin_directory() / "pgbench"
    return path if path.exists() else None


def prepare_connectors(connection: sa.Connection) -> None:
    """Numbers the connectors, the last pipeline's first, because pgbench's variables are numbers."""
    _make(
        connection,
        "bench_connector",
        "SELECT CAST(row_number() OVER (ORDER BY p.name DESC, c.id) AS int) AS n, c.id AS connector_id, c.pipeline_id"
        " FROM connector AS c JOIN pipeline AS p ON p.id = c.pipeline_id",
    )


def prepare_tokens(connection: sa.Connection, tokens: int) -> None:
    """Numbers so many tokens."""
    _make(
        connection,
        "bench_token",
        "SELECT CAST(row_number() OVER () AS int) AS n, t.id AS token_id, c.id AS connector_id, c.pipeline_id"
        f" FROM completion_token AS t JOIN connector AS c ON c.id = t.connector_id LIMIT {tokens}",
    )


def _make(connection: sa.Connection, table: str, rows: str) -> None:
    connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
    connection.execute(sa.text(f"CREATE TABLE {table} AS {rows}"))
    connection.execute(sa.text(f"ALTER TABLE {table} ADD PRIMARY KEY (n)"))
    connection.execute(sa.text(f"ANALYZE {table}"))


def rate(database: sa.URL, name: str, table: str, rows: int, seconds: float, directory: Path) -> float:
    """Runs a second of ``sql/{name}.sql``, each for a random one of the table's first ``rows``."""
    binary = program()
    assert binary is not None
    script = directory / f"{name}.sql"
    script.write_text(_script(name, table, rows))
    command = (
        *(binary, "--no-vacuum", "--protocol", "prepared", "--client", str(CONNECTIONS), "--jobs", "2"),
        *("--time", f"{seconds:.0f}", "--file", script, "--host", str(database.query["host"])),
        *("--port", str(database.query["port"]), "--username", str(database.username), str(database.database)),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    return float(found[1])


def _script(name: str, table: str, rows: int) -> str:
    sql = re.sub(r"^--.*\n", "", (_SQL / f"{name}.sql").read_text(), flags=re.MULTILINE)
    row = rf"(SELECT \1 FROM {table} WHERE n = CAST(:n AS int))"
    return f"\\set n random(1, {rows})\n{re.sub(r':([a-z_]+_id)', row, sql).strip()};\n"
