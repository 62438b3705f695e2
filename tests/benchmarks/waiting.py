"""What those who wait cost, and how soon after a report's COMMIT they are answered."""

import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from urllib.parse import urlsplit

import psutil
import requests
import sqlalchemy as sa
from feldera import FelderaClient

from app.domain.connector import Report, StreamPosition
from app.domain.names import Address, tenant_id
from app.domain.position import Position
from app.services.report import Addressed, record
from app.store.engine import make_engine
from tests.benchmarks import data
from tests.benchmarks.equality import status_path
from tests.benchmarks.load import Mix, wrk
from tests.benchmarks.servers import Server
from tests.benchmarks.sleepers import asleep, read_answers

SLEEPERS = 10_000
FEWER = 50  # asleep while single ones are woken
_WAKE_UPS = 500
_AT_ONCE = 1_000
_POLLED = 60  # waits of the feldera SDK
_MOST_AT_ONCE = 10  # reports: all servers are there, and have the most of the database's connections
_COUNTED_SECONDS = 20.0
_SETTLE_SECONDS = 4.0  # until everybody is asleep, or has been forgotten
_WAKEN = 9  # the pipeline whose connectors are reported; the sleepers' are others


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What sleepers cost."""

    statements: float  # a second and process
    kilobytes: float  # a sleeper
    p99_ms: tuple[float, float]  # of others' stats: with sleepers, and without any


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Milliseconds from a COMMIT to an answer."""

    median: float
    p99: float


class Woken:
    """A connector that is reported here, so that it is known when the COMMIT was done."""

    def __init__(self, server: Server, engine: sa.Engine, connector: int) -> None:
        self.path = data.connector_path(_WAKEN, connector)
        self._base = server.base
        name = f"c{connector}"
        self._address = Address(tenant_id("default"), data.pipeline(_WAKEN), "orders", name)
        self._engine = engine

    def token(self) -> str:
        return str(requests.get(f"{self._base}{self.path}/completion_token", timeout=10).json()["token"])

    def report(self) -> float:
        """All is processed; answers the moment at which the COMMIT was done."""
        answer = requests.get(f"{self._base}{self.path}/stats", timeout=10).json()["recorded"]
        here = Position.parse({name: offset + 1 for name, offset in answer["received"].items()})
        position = StreamPosition(epoch=answer["epoch"], received=here, completed=here)
        report = Addressed(self._address, Report(if_match=answer["version"], position=position))
        with self._engine.connect() as connection, connection.begin() as transaction:
            (outcome,) = record(connection, [report], keep_every=timedelta(seconds=10))
            assert not isinstance(outcome, Exception), outcome
            transaction.commit()
            return time.perf_counter()


def cost(server: Server, engine: sa.Engine, stats: Mix, seconds: float, rounds: int) -> Cost:
    """Of all sleepers, in turn with none."""
    paths = _paths(server.base, SLEEPERS)
    wrk(server.base, stats, 1)
    without, with_them, statements, kilobytes = [], [], [], []
    for _ in range(rounds):
        without.append(wrk(server.base, stats, seconds).p99_ms)
        before = _memory(server)
        with asleep(server.base, paths):
            time.sleep(_SETTLE_SECONDS)
            kilobytes.append((_memory(server) - before) / SLEEPERS / 1024)
            statements.append(_statements(engine) / len(_workers(server)))
            with_them.append(wrk(server.base, stats, seconds).p99_ms)
        time.sleep(_SETTLE_SECONDS)
    return Cost(
        statements=statistics.median(statements),
        kilobytes=kilobytes[0],  # later ones find what the first ones have left behind
        p99_ms=(statistics.median(with_them), statistics.median(without)),
    )


def single(server: Server, url: str) -> Latencies:
    """One after the other is woken while thousands go on sleeping."""
    with asleep(server.base, _paths(server.base, FEWER)), _woken(server, url, 1) as (connector,):
        time.sleep(3)
        return _latencies([_wake(server, connector, 1)[0] for _ in range(_WAKE_UPS)])


def at_once(server: Server, url: str) -> float:
    """Milliseconds until the last of a thousand is answered who wait for the same."""
    with _woken(server, url, 1) as (connector,):
        return max(_wake(server, connector, _AT_ONCE))


def polling(server: Server, url: str) -> Latencies:
    """The same wait as the feldera SDK does it, by asking again and again; on many connectors at a time."""
    client, chance = FelderaClient(server.base), Random(1)
    with _woken(server, url, _POLLED) as connectors:
        late: list[float] = []
        threads = [
            threading.Thread(target=_poll, args=(client, connector, chance.uniform(0.2, 3.0), late))
            for connector in connectors
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(late) == _POLLED
    return _latencies(late)


def _poll(client: FelderaClient, connector: Woken, after: float, late: list[float]) -> None:
    token = connector.token()
    committed: list[float] = []

    def report() -> None:
        time.sleep(after)
        connector.report()
        committed.append(connector.report())

    reporter = threading.Thread(target=report)
    reporter.start()
    client.wait_for_token(data.pipeline(_WAKEN), token, timeout_s=60)
    answered = time.perf_counter()
    reporter.join()
    late.append((answered - committed[0]) * 1000)


def _wake(server: Server, connector: Woken, number: int) -> list[float]:
    """Milliseconds from the COMMIT that completes a token to the answers of so many who wait for it."""
    path = status_path(connector.path, connector.token())
    with asleep(server.base, [path] * number) as sleepers:
        time.sleep(0.01 if number == 1 else 3)
        connector.report()
        committed = connector.report()
        read_answers(sleepers, 30)
    return [((sleeper.answered or 0) - committed) * 1000 for sleeper in sleepers]


def _latencies(milliseconds: Sequence[float]) -> Latencies:
    ordered = sorted(milliseconds)
    return Latencies(median=statistics.median(ordered), p99=ordered[int(len(ordered) * 0.99)])


@contextmanager
def _woken(server: Server, url: str, number: int) -> Iterator[list[Woken]]:
    engine = make_engine(url, pool_size=min(number, _MOST_AT_ONCE))
    try:
        yield [Woken(server, engine, connector) for connector in range(number)]
    finally:
        engine.dispose()


def _paths(base: str, number: int) -> list[str]:
    """Statuses of so many tokens that nothing here completes."""
    connectors = [path for path in data.all_paths() if data.pipeline(_WAKEN) not in path]
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10)
    paths = []
    for place in range(number):
        path = connectors[place % len(connectors)]
        connection.request("GET", f"{path}/completion_token")
        token = json.loads(connection.getresponse().read())["token"]
        paths.append(status_path(path, token))
    connection.close()
    return paths


def _statements(engine: sa.Engine) -> float:
    """Statements a second, all processes together; each is a transaction of its own."""
    before, started = _committed(engine), time.monotonic()
    time.sleep(_COUNTED_SECONDS)
    return (_committed(engine) - before - 1) / (time.monotonic() - started)


def _committed(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        return int(connection.scalar(sa.text(sql)))


def _workers(server: Server) -> list[psutil.Process]:
    return [worker for root in server.roots for worker in root.children()]


def _memory(server: Server) -> int:
    """Bytes that only the workers have."""
    return sum(int(worker.memory_full_info().uss) for worker in _workers(server))
