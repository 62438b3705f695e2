"""Streams of events under many writers, while clients come and go and everything is killed: each is told all, and once.

Readers hang up whenever they like and go on with the id of the last thing they had; writers report over HTTP, alone and
in batches, or dawdle before they commit; the server is reloaded and killed, the database loses its sessions and
crashes. In the end every reader has been told exactly what is recorded, in its order.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from app.domain.connector import Report
from app.domain.names import DEFAULT_TENANT, Address, tenant_id
from app.domain.status import Recording, Status
from app.services.report import Addressed, record
from app.store.engine import make_engine, run, transact
from app.store.events import EventQuery, read_events, read_newest
from tests.robustness.cluster import Cluster, cluster
from tests.services.reporting import KEEP_EVERY, send
from tests.serving import Server, until
from tests.sse import BROKEN, Event, EventSource

SEED = int(os.environ.get("EVENTS_SEED", random.randrange(2**32)))
READERS, WRITERS, DAWDLERS = 6, 4, 2
CONNECTORS = 5  # of each writer
SECONDS = 15.0
PATIENCE_SECONDS = 40.0  # until the last of it is told, on a busy machine
LEAST, LEAST_CONNECTIONS = (
    1000,
    5,
)  # events, and connections of each reader, or too little has happened to show anything
DEFECTIVE = [sys.executable, "-m", "tests.robustness.defective_server", "events-as-seen"]
TENANT = tenant_id(DEFAULT_TENANT)
RECORDED = sa.text(
    "SELECT p.name, c.connector_name, e.version, e.kind FROM connector_event AS e"
    " JOIN connector AS c ON c.id = e.connector_id JOIN pipeline AS p ON p.id = c.pipeline_id"
    ' ORDER BY e.xid, e.connector_id, e.version, e.kind COLLATE "C"'
)

Told = tuple[Any, ...]
Nemesis = Callable[[Server, Cluster], object]


class Reader(threading.Thread):
    """Follows, hangs up, comes back; ``told`` is what it was told, over all its connections."""

    def __init__(self, base: str, seed: int, over: threading.Event) -> None:
        super().__init__(name=f"reader-{seed}", daemon=True)
        self._source = EventSource(f"{base}/v0/events")
        self._dice, self._over = random.Random(seed), over
        self.told: list[Told] = []
        self.connections = 0
        with self._source.connected() as events:
            next(events)

    def run(self) -> None:
        while not self._over.is_set():
            with suppress(*BROKEN):
                self._follow()
            time.sleep(self._dice.choice((0, 0, 0.05, 0.5)))

    def _follow(self) -> None:
        """Until it has had enough, or the server has."""
        enough = self._dice.choice((1, 3, 30, 300))
        with self._source.ask() as answer:
            assert answer.status_code in (200, 503), answer.text
            self.connections += answer.ok
            for event in self._source.received(answer) if answer.ok else ():
                if event.name:
                    self._note(event)
                    enough -= 1
                if not enough or self._over.is_set():
                    return

    def _note(self, event: Event) -> None:
        names = ("pipeline", "connector", "version", "kind")
        self.told.append(tuple(event.data[name] for name in names) if event.name == "connector" else (event.name,))


class Writer(threading.Thread):
    """Lets connectors of its own fail, pause, be removed and come back, without ever asking what became of it."""

    def __init__(self, base: str, seed: int, over: threading.Event) -> None:
        super().__init__(name=f"writer-{seed}", daemon=True)
        self._pipeline = f"{base}/v0/pipelines/p{seed}"
        self._dice, self._over = random.Random(seed), over

    def run(self) -> None:
        with requests.Session() as session:
            while not self._over.is_set():
                with suppress(requests.RequestException):
                    self._write(session)
                time.sleep(self._dice.choice((0, 0.01)))

    def _write(self, session: requests.Session) -> None:
        name = self._dice.randrange(CONNECTORS)
        url = f"{self._pipeline}/tables/t/connectors/c{name}"
        match self._dice.randrange(10):
            case 0:
                session.delete(url, timeout=20)
                session.put(f"{url}/stats", json=self._report(), headers={"If-Match": '"0"'}, timeout=20)
            case 1 | 2 | 3:
                items = [{"table": "t", "connector": f"c{each}"} | self._report() for each in range(CONNECTORS)]
                session.post(f"{self._pipeline}/reports", json=items, timeout=20)
            case _:
                session.put(f"{url}/stats", json=self._report(), timeout=20)

    def _report(self) -> dict[str, Any]:
        """Without a condition, so that it need not know the version."""
        fatal = self._dice.choice((None, "no disk"))
        return {"recording": "synchronous", "paused": self._dice.random() < 0.5, "fatal_error": fatal}


class Dawdler(threading.Thread):
    """Records without the server, and takes its time before it commits."""

    def __init__(self, url: str, seed: int, over: threading.Event) -> None:
        super().__init__(name=f"dawdler-{seed}", daemon=True)
        self._url, self._dice, self._over = url, random.Random(seed), over
        self._addresses = [Address(TENANT, f"d{seed}", "t", f"c{number}") for number in range(CONNECTORS)]

    def run(self) -> None:
        engine = make_engine(self._url, pool_size=1, timeout_seconds=60)
        while not self._over.is_set():
            with suppress(Exception):  # the database is taken away
                transact(engine, self._record)
        engine.dispose()

    def _record(self, connection: sa.Connection) -> None:
        chosen = self._dice.sample(self._addresses, self._dice.randint(1, CONNECTORS))
        status = Status(paused=self._dice.random() < 0.5)
        report = Report(recording=Recording.SYNCHRONOUS, status=status)
        record(connection, [Addressed(address, report) for address in chosen], keep_every=KEEP_EVERY)
        time.sleep(self._dice.choice((0, 0.01, 0.1, 0.3)))


def reload(server: Server, _: Cluster) -> None:
    os.kill(server.process.pid, signal.SIGHUP)


def kill_a_worker(server: Server, _: Cluster) -> None:
    for worker in server.workers()[:1]:
        worker.kill()


def kill_the_server(server: Server, _: Cluster) -> None:
    server.kill()
    server.start()


def end_sessions(_: Server, database: Cluster) -> None:
    database.terminate_backends()


def crash_the_database(_: Server, database: Cluster) -> None:
    database.kill()
    database.start()


NEMESES: tuple[Nemesis, ...] = (reload, kill_a_worker, kill_the_server, end_sessions, crash_the_database)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Cluster]:
    # What need not be on disk is left off it for long, so that a crash finds something to forget.
    with cluster(tmp_path / "postgres", wal_writer_delay="10s") as made:
        yield made


def play(
    server: Server, database: Cluster, nemeses: Sequence[Nemesis], patience: float = PATIENCE_SECONDS
) -> tuple[list[Reader], list[Told]]:
    """Everybody at once, for some seconds; the readers, and what is recorded."""
    print(f"EVENTS_SEED={SEED} plays the same choices again")
    writing, reading, dice = threading.Event(), threading.Event(), random.Random(SEED)
    seeds = [dice.randrange(2**32) for _ in range(READERS + WRITERS + DAWDLERS)]
    readers = [Reader(server.base, seeds.pop(), reading) for _ in range(READERS)]
    writers = [
        *(Writer(server.base, seeds.pop(), writing) for _ in range(WRITERS)),
        *(Dawdler(database.url, seeds.pop(), writing) for _ in range(DAWDLERS)),
    ]
    for each in (*readers, *writers):
        each.start()
    for nemesis in nemeses:
        time.sleep(SECONDS / (len(nemeses) + 1))
        nemesis(server, database)
    time.sleep(SECONDS / (len(nemeses) + 1))
    writing.set()
    for writer in writers:
        writer.join()
    recorded = everything(database.url)
    with suppress(AssertionError):  # which is told better below
        until(lambda: all(len(each.told) >= len(recorded) or not each.is_alive() for each in readers), patience)
    reading.set()
    return readers, recorded


def everything(url: str) -> list[Told]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(RECORDED)]


def faults(readers: list[Reader], recorded: list[Told]) -> list[str]:
    """What is wrong with what they were told: of each, the first place where it differs."""
    found = []
    for reader in readers:
        pairs = enumerate(zip_longest(reader.told, recorded))
        place, pair = next(((place, pair) for place, pair in pairs if pair[0] != pair[1]), (0, None))
        if pair is not None:
            missing, twice = len(set(recorded) - set(reader.told)), len(reader.told) - len(set(reader.told))
            found.append(
                f"{reader.name} at {place}: told {pair[0]}, recorded {pair[1]}; {missing} missing, {twice} twice"
            )
    return found


def test_every_reader_is_told_everything_once_and_in_order(database: Cluster, tmp_path: Path) -> None:
    server = Server({"DATABASE_URL": database.url, "ALLOW_UNSAFE_DATABASE": "1"}, log=tmp_path / "log")
    try:
        readers, recorded = play(server, database, random.Random(SEED).sample(NEMESES, len(NEMESES)))
    finally:
        server.stop()
    print(f"{len(recorded)} events, {sum(each.connections for each in readers)} connections")
    assert faults(readers, recorded) == []
    assert len(recorded) > LEAST
    assert all(each.connections > LEAST_CONNECTIONS for each in readers)


def test_a_planted_order_loses_some(database: Cluster, tmp_path: Path) -> None:
    """Told as soon as they are seen."""
    environment = {"DATABASE_URL": database.url, "ALLOW_UNSAFE_DATABASE": "1"}
    server = Server(environment, DEFECTIVE, log=tmp_path / "log")
    try:
        readers, recorded = play(server, database, [], patience=3)
    finally:
        server.stop()
    told = faults(readers, recorded)
    print("\n".join(told))
    assert any("0 missing" not in fault for fault in told)


def test_what_gets_a_number_once_more_after_a_crash_is_told(database: Cluster) -> None:
    """The numbers of transactions that were rolled back are in no log yet, and a stream had come as far as them."""
    address = Address(TENANT, "p", "t", "c")
    with on(database) as engine:
        send(engine, address, Report(if_match=0))
        before = run(engine, lambda connection: read_newest(connection, TENANT))
        for _ in range(50):
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT pg_current_xact_id()"))
                connection.rollback()
        reached = run(engine, lambda connection: read_newest(connection, TENANT))
        database.kill()
    assert reached.place == before.place
    database.start()
    with on(database) as engine:
        send(engine, address, Report(if_match=1, status=Status(paused=True)))
        query = EventQuery(TENANT, reached.place)
        (page,) = run(engine, lambda connection: read_events(connection, [query], limit=9))
    assert [event.place.kind for event in page.events] == ["paused"]
    assert before.horizon <= page.events[0].place.xid < reached.horizon, "its number is not given a second time"


@contextmanager
def on(database: Cluster) -> Iterator[sa.Engine]:
    engine = make_engine(database.url)
    try:
        yield engine
    finally:
        engine.dispose()
