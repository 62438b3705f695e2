"""What a report costs when a million tokens wait on its connector, against its twin on which none does."""

import http.client
import json
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from tests.benchmarks import data

TOKENS = 1_000_000
_PIPELINE = 7
_WITH, _WITHOUT = 1, 2  # connectors
_LOGGED = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
_INSERT = """
    INSERT INTO completion_token (connector_id, id, epoch_number, binding, issued_at, issued_by)
    SELECT c.id, uuidv7(), c.epoch_number, c.version + 1000000, now(), 'bench'
      FROM connector AS c
      JOIN pipeline AS p ON p.id = c.pipeline_id
     CROSS JOIN generate_series(1, :tokens)
     WHERE p.name = :pipeline AND c.connector_name = :connector
"""


class _Reporter:
    """Reports one connector's status over one connection."""

    def __init__(self, base: str, connection: http.client.HTTPConnection, connector: int) -> None:
        self._connection = connection
        self._connector = connector
        self._path = data.connector_path(_PIPELINE, connector) + "/stats"
        self._version = self._read_version()

    def report(self) -> float:
        """Milliseconds until the answer."""
        body = data.report(self._connector, self._version)
        content = json.dumps({name: body[name] for name in ("position", "interval_seconds", "metrics", "health")})
        headers = {"Content-Type": "application/json", "If-Match": f'"{self._version}"'}
        start = time.perf_counter()
        self._connection.request("PUT", self._path, content, headers)
        answer = self._connection.getresponse()
        answer.read()
        taken = time.perf_counter() - start
        assert answer.status == 204, answer.status
        self._version += 1
        return taken * 1000

    def _read_version(self) -> int:
        self._connection.request("GET", self._path)
        answer = self._connection.getresponse()
        answer.read()
        return int(answer.headers["ETag"].strip('"'))


def insert_tokens(engine: sa.Engine) -> None:
    """The million, none of which is ever complete here."""
    parameters = {"tokens": TOKENS, "pipeline": data.pipeline(_PIPELINE), "connector": f"c{_WITH}"}
    with engine.begin() as connection:
        connection.execute(sa.text(_INSERT), parameters)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE completion_token"))
        connection.execute(sa.text("CHECKPOINT"))


def milliseconds(base: str, engine: sa.Engine, log: Path, reports: int) -> tuple[float, float]:
    """Medians of as many reports each, with the tokens and without, in turn; both send the same statements."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10)
    reporters = [_Reporter(base, connection, connector) for connector in (_WITH, _WITHOUT)]
    for reporter in reporters * 20:
        reporter.report()
    _check_statements(engine, log, reporters)
    taken: list[list[float]] = [[], []]
    for number in range(reports):
        for place in (0, 1) if number % 2 else (1, 0):
            taken[place].append(reporters[place].report())
    connection.close()
    return statistics.median(taken[0]), statistics.median(taken[1])


def _check_statements(engine: sa.Engine, log: Path, reporters: "list[_Reporter]") -> None:
    sent = []
    with _logging(engine):
        for reporter in reporters:
            before = log.stat().st_size
            reporter.report()
            with log.open() as text:
                text.seek(before)
                sent.append(_LOGGED.findall(text.read()))
    assert sent[0], "no statement was logged"
    assert sent[0] == sent[1], sent


@contextmanager
def _logging(engine: sa.Engine) -> Iterator[None]:
    """The server logs every statement meanwhile."""
    _set_logging(engine, "all")
    try:
        yield
    finally:
        _set_logging(engine, "none")


def _set_logging(engine: sa.Engine, what: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"ALTER SYSTEM SET log_statement = '{what}'"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    time.sleep(0.5)  # until every backend has heard of it
