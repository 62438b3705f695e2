"""Peer (a): FastAPI, pydantic responses, asyncpg, one statement a request; for uvicorn with uvloop and httptools.

Written to be fast: statements are prepared by the pool's connections, JSON from the database is parsed by pydantic's
parser, FastAPI serializes the returned models straight to bytes, and the pool does not reset a connection at release
(a second round trip a request, and nothing here changes a session).
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated, Any, cast

import asyncpg  # type: ignore[import-untyped]
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, PlainSerializer
from pydantic_core import from_json

from tests.benchmarks.peers import dialect

POOL_SIZE = 10  # a worker: asyncpg's own choice
_SQL = Path(__file__).parents[1] / "sql"

Time = Annotated[datetime, PlainSerializer(dialect.time_text, return_type=str)]
Position = int | dict[str, int] | None


class Config(BaseModel):
    stream: str


class Metrics(BaseModel):
    total_bytes: int
    total_records: int
    buffered_records: int
    buffered_bytes: int
    num_transport_errors: int
    num_parse_errors: int
    end_of_input: bool


class TimedMetrics(Metrics):
    processing_latency_p99_micros: int  # left out until it is known


class ConnectorError(BaseModel):
    timestamp: Time
    index: int
    tag: str | None
    message: str


class Health(BaseModel):
    status: str
    description: str | None


class CompletedFrontier(BaseModel):
    metadata: Any
    ingested_at: Time
    processed_at: Time
    completed_at: Time


class Recorded(BaseModel):
    version: int
    recorded_at: Time
    recording: str
    interval_seconds: float | None
    epoch: str | None
    epoch_number: int
    received: Position
    completed: Position
    completed_version: int
    lag_records: int | None
    lag_seconds: float | None


class Stats(BaseModel):
    endpoint_name: str
    config: Config
    metrics: TimedMetrics | Metrics
    fatal_error: str | None
    parse_errors: list[ConnectorError]
    transport_errors: list[ConnectorError]
    health: Health | None
    paused: bool
    barrier: bool
    completed_frontier: CompletedFrontier | None
    recorded: Recorded


class Token(BaseModel):
    token: str


class CompletionStatus(BaseModel):
    status: str
    step: int | None


def _statement(name: str, *parameters: str) -> str:
    """The statement in ``sql/``, its parameters numbered as asyncpg wants them."""
    sql = (_SQL / f"{name}.sql").read_text()
    for number, parameter in enumerate(parameters, 1):
        sql = re.sub(rf":{parameter}\b", f"${number}", sql)
    return sql


READ_STATS = _statement("read_stats", "connector_id", "pipeline_id")
ISSUE_TOKEN = _statement("issue_token", "connector_id", "pipeline_id")
CHECK_TOKEN = _statement("check_token", "connector_id", "token_id", "pipeline_id")


async def _initialise(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=str, decoder=from_json, schema="pg_catalog")


async def _keep(connection: asyncpg.Connection) -> None:
    """Instead of a reset."""


@asynccontextmanager
async def _pool(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["ASYNCPG_DSN"],
        min_size=POOL_SIZE,
        max_size=POOL_SIZE,
        init=_initialise,
        reset=_keep,
        server_settings={"jit": "off", "timezone": "UTC"},
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=_pool)


async def _fetch(statement: str, *arguments: Any) -> asyncpg.Record | None:
    return cast("asyncpg.Record | None", await app.state.pool.fetchrow(statement, *arguments))


@app.get("/v0/pipelines/{pipeline}/tables/{table}/connectors/{connector}/stats")
async def read_stats(pipeline: str, table: str, connector: str, response: Response) -> Stats:
    row = await _fetch(READ_STATS, dialect.connector_id(pipeline, table, connector), dialect.pipeline_id(pipeline))
    if row is None or row["id"] is None:
        raise HTTPException(404, "unknown pipeline or connector")
    if row["pipeline_status"] == "Stopped":
        raise HTTPException(503, "the pipeline is stopped")
    response.headers["ETag"] = f'"{row["version"]}"'
    response.headers["Last-Modified"] = format_datetime(row["recorded_at"], usegmt=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return _stats(row)


@app.get("/v0/pipelines/{pipeline}/tables/{table}/connectors/{connector}/completion_token")
async def issue_token(pipeline: str, table: str, connector: str) -> Token:
    connector_id = dialect.connector_id(pipeline, table, connector)
    row = await _fetch(ISSUE_TOKEN, connector_id, dialect.pipeline_id(pipeline))
    if row is None or row["connector_id"] is None:
        raise HTTPException(404, "unknown pipeline or connector")
    if row["token_id"] is None:
        raise HTTPException(409, "no stream position yet")
    return Token(token=dialect.token_text(connector_id, row["token_id"]))


@app.get("/v0/pipelines/{pipeline}/completion_status")
async def check_token(pipeline: str, token: str, response: Response) -> CompletionStatus:
    try:
        connector_id, token_id = dialect.token_ids(token)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    row = await _fetch(CHECK_TOKEN, connector_id, token_id, dialect.pipeline_id(pipeline))
    if row is None or row["token_id"] is None:
        raise HTTPException(404, "unknown pipeline or token")
    if row["removed"] or dialect.is_expired(token_id, row["now"]):
        raise HTTPException(410, "the token is gone")
    if row["completed_version"] >= row["binding"]:
        return CompletionStatus(status="complete", step=row["binding"])
    if row["epoch_ended"]:
        raise HTTPException(410, "the pipeline was restarted")
    response.status_code = 202
    return CompletionStatus(status="inprogress", step=None)


def _stats(row: asyncpg.Record) -> Stats:
    table, errors = row["table_name"], row["errors"] or ()
    return Stats(
        endpoint_name=f"{table}.{row['connector_name']}",
        config=Config(stream=table if table == table.lower() else f'"{table}"'),
        metrics=_metrics(row),
        fatal_error=row["fatal_error"],
        parse_errors=[ConnectorError(**error) for error in errors if error["kind"] == "parse"],
        transport_errors=[ConnectorError(**error) for error in errors if error["kind"] == "transport"],
        health=_health(row),
        paused=row["paused"],
        barrier=row["barrier"],
        completed_frontier=row["completed_frontier"],
        recorded=_recorded(row),
    )


def _metrics(row: asyncpg.Record) -> Metrics | TimedMetrics:
    if row["processing_latency_p99_micros"] is None:
        return Metrics(**row)
    return TimedMetrics(**row)


def _health(row: asyncpg.Record) -> Health | None:
    age = dialect.stale_seconds(row["recorded_at"], row["interval_seconds"], row["now"])
    if age is not None:
        return Health(status="Unhealthy", description=f"no report for {age:.0f} s")
    if row["health_status"] is None:
        return None
    return Health(status=row["health_status"], description=row["health_description"])


def _recorded(row: asyncpg.Record) -> Recorded:
    return Recorded(
        version=row["version"],
        recorded_at=row["recorded_at"],
        recording=row["recording"],
        interval_seconds=row["interval_seconds"],
        epoch=row["epoch_label"],
        epoch_number=row["epoch_number"],
        received=row["received"],
        completed=row["completed"],
        completed_version=row["completed_version"],
        lag_records=dialect.lag_records(row["received"], row["completed"]),
        lag_seconds=dialect.lag_seconds(row["waiting_since"], row["recorded_at"]),
    )
