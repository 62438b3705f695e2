"""The order in which transitions are read: nothing is missed and nothing told twice, however transactions overlap."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from app.domain.connector import Report
from app.domain.event_order import BEGINNING, EventPlace
from app.domain.names import Address
from app.domain.status import Recording, Status
from app.services.report import Addressed, Recorded, record, remove_connector
from app.store import events, reports
from app.store.engine import make_engine, run, statement, transact
from app.store.events import EventQuery, Newest, Page, RecordedEvent, read_events, read_newest
from app.store.standings import MOVED_CHANNEL
from tests.services.reporting import KEEP_EVERY, send, settle
from tests.serving import until
from tests.store.test_listener import GAP, listening
from tests.tenants import add_tenant

END = EventPlace(2**63 - 1, uuid.UUID(int=0), 0, "")
NUMBER = "CAST(CAST(pg_snapshot_{}(pg_current_snapshot()) AS text) AS bigint)"
MARKED = sa.text(
    "SELECT c.connector_name, e.version, e.kind FROM connector_event AS e JOIN connector AS c ON c.id = e.connector_id"
    " WHERE e.tenant_id = :tenant ORDER BY e.xid, e.connector_id, e.version, e.kind"
)


@pytest.fixture
def tenant(clone_engine: sa.Engine) -> uuid.UUID:
    return new_tenant(clone_engine)


def new_tenant(engine: sa.Engine) -> uuid.UUID:
    with engine.begin() as connection:
        return add_tenant(connection, uuid.uuid4().hex)


def named(tenant: uuid.UUID, connector: str) -> Address:
    return Address(tenant, "demo", "orders", connector)


def paused(paused: bool = True, if_match: int | None = None) -> Report:
    """A report without a condition: whatever is recorded already, it becomes the next version."""
    recording = Recording.SYNCHRONOUS if if_match is None else Recording.SAMPLED
    return Report(if_match=if_match, recording=recording, status=Status(paused=paused))


def look(engine: sa.Engine, tenant: uuid.UUID, after: EventPlace, limit: int = 500) -> Page:
    (page,) = run(engine, lambda connection: read_events(connection, [EventQuery(tenant, after)], limit=limit))
    return page


class Reader:
    """Goes through a tenant's transitions, on from where it was."""

    def __init__(self, engine: sa.Engine, tenant: uuid.UUID, limit: int = 500) -> None:
        self.engine, self.tenant, self.limit = engine, tenant, limit
        self.place = BEGINNING
        self.told: list[RecordedEvent] = []

    def settle(self) -> list[tuple[str, str]]:
        """Reads all that is committed, once what others have open has ended, and answers what was new."""
        settle(self.engine)
        return self.read()

    def read(self) -> list[tuple[str, str]]:
        """Reads to the end, and answers what was new."""
        before = len(self.told)
        while True:
            page = look(self.engine, self.tenant, self.place, self.limit)
            assert len(page.events) <= self.limit
            self.told += page.events
            self.place = self.told[-1].place if self.told else self.place
            if page.is_last:
                return [(event.connector, event.place.kind) for event in self.told[before:]]


@contextmanager
def recording(engine: sa.Engine, address: Address) -> Iterator[None]:
    """A report that is recorded now, and committed at the end of the block."""
    with engine.begin() as connection:
        (outcome,) = record(connection, [Addressed(address, paused())], keep_every=KEEP_EVERY)
        assert isinstance(outcome, Recorded)
        yield


def honest(patch: pytest.MonkeyPatch) -> None:
    pass


def altered(*changes: tuple[str, str]) -> Callable[[pytest.MonkeyPatch], None]:
    """The statement with pieces of it replaced."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        changed = statement("read_events").text
        for old, new in changes:
            assert old in changed
            changed = changed.replace(old, new)
        patch.setattr(
            events, "statement", lambda asked: sa.text(changed) if asked == "read_events" else statement(asked)
        )

    return plant


MICROSECONDS = "CAST(date_part('epoch', {}) * 1000000 AS bigint)"
HORIZON = NUMBER.format("xmin")
PLANTED = {
    "ordered by the time": altered(
        ("SELECT e.xid,", f"SELECT {MICROSECONDS.format('e.at')} AS xid,"),
        (f"e.xid < {HORIZON}", "true"),
        ("(e.xid,", f"({MICROSECONDS.format('e.at')},"),
        ("ORDER BY e.xid,", "ORDER BY e.at,"),
    ),
    "told as soon as they are seen": altered((HORIZON, NUMBER.format("xmax"))),
}


def overlap(engine: sa.Engine, tenant: uuid.UUID) -> list[list[tuple[str, str]]]:
    """What a reader is told after each of two transactions commits, of which the later begun is the first to."""
    send(engine, named(tenant, "there before"), paused())  # so that neither of them makes the pipeline
    reader = Reader(engine, tenant)
    told = [reader.settle()]
    with recording(engine, named(tenant, "begun first")):
        with recording(engine, named(tenant, "begun later")):
            pass
        told.append(reader.read())
    told.append(reader.settle())
    return [*told, reader.settle()]


RIGHT = [
    [("there before", "created"), ("there before", "paused")],
    [],  # what was begun later has committed, and waits
    [(name, kind) for name in ("begun first", "begun later") for kind in ("created", "paused")],
    [],
]


def test_what_commits_first_waits_for_what_was_begun_before(clone_engine: sa.Engine, tenant: uuid.UUID) -> None:
    assert overlap(clone_engine, tenant) == RIGHT


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_order_loses_what_commits_later(
    clone_engine: sa.Engine, tenant: uuid.UUID, monkeypatch: pytest.MonkeyPatch, defect: str
) -> None:
    PLANTED[defect](monkeypatch)
    told = [name for names in overlap(clone_engine, tenant) for name, _ in names]
    assert "begun later" in told
    assert "begun first" not in told


def test_readers_are_told_all_that_many_writers_record_once_and_in_order(clone: str, tenant: uuid.UUID) -> None:
    """Writers of one to four connectors at once, who dawdle before they commit; readers all the while."""
    engine = make_engine(clone, pool_size=20, timeout_seconds=60)
    names, over = [f"c{number}" for number in range(6)], threading.Event()

    def write(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(25):
            chosen = dice.sample(names, dice.randint(1, 4))
            items = [Addressed(named(tenant, name), paused(dice.random() < 0.5)) for name in chosen]
            transact(engine, partial(slowly, items, dice))

    def read(limit: int) -> Reader:
        reader = Reader(engine, tenant, limit)
        while not over.is_set():
            reader.read()
        reader.settle()
        return reader

    with ThreadPoolExecutor(12) as pool:
        readers = [pool.submit(read, limit) for limit in (1, 3, 500)]
        for writer in [pool.submit(write, seed) for seed in range(8)]:
            writer.result()
        over.set()
    recorded = everything(engine, tenant)
    assert len(recorded) > 100
    for each in readers:
        told = [(event.connector, event.place.version, event.place.kind) for event in each.result().told]
        assert told == recorded
        for name in names:
            versions = [version for connector, version, _ in told if connector == name]
            assert versions == sorted(versions)
    engine.dispose()


def slowly(items: list[Addressed], dice: random.Random, connection: sa.Connection) -> None:
    record(connection, items, keep_every=KEEP_EVERY)
    time.sleep(dice.choice((0, 0, 0.002, 0.02)))


def everything(engine: sa.Engine, tenant: uuid.UUID) -> list[tuple[str, int, str]]:
    with engine.connect() as connection:
        return [(name, version, kind) for name, version, kind in connection.execute(MARKED, {"tenant": tenant})]


def test_a_report_that_was_overtaken_twice_is_told_after_those_that_overtook_it(
    clone: str, clone_engine: sa.Engine, tenant: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the first of them, having begun to write, and the other one comes before it has read again."""
    address = named(tenant, "billing")
    send(clone_engine, address, paused(False))
    reader, honest = Reader(clone_engine, tenant), reports.load
    reader.settle()
    loads: list[threading.Thread] = []

    def load(connection: sa.Connection, wanted: Any, **options: Any) -> Any:
        if threading.current_thread().name == "overtaken":
            loads.append(threading.current_thread())
            if len(loads) == 2:
                send(clone_engine, address, paused(False))
        return honest(connection, wanted, **options)

    monkeypatch.setattr(reports, "load", load)
    late = threading.Thread(target=send, args=(clone_engine, address, paused()), name="overtaken")
    with recording(clone_engine, address):
        late.start()
        until(lambda: waiting(clone_engine) == 1)
    late.join()
    assert len(loads) > 2
    reader.settle()
    versions = [event.place.version for event in reader.told]
    assert versions == sorted(versions)
    assert [event.place.kind for event in reader.told[-3:]] == ["paused", "resumed", "paused"]


def waiting(engine: sa.Engine) -> int:
    """How many sessions wait for a lock."""
    with engine.connect() as connection:
        return int(connection.scalars(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")).one())


def test_what_happens_is_notified(clone: str, clone_engine: sa.Engine, tenant: uuid.UUID) -> None:
    """First reports, too; a notification is only a hint, and one that says nothing is enough."""
    address = named(tenant, "a")
    with listening(clone, MOVED_CHANNEL) as heard:
        assert heard.get(timeout=10) == GAP
        for report in (paused(False), paused(), paused()):
            send(clone_engine, address, report)
        transact(clone_engine, lambda connection: remove_connector(connection, address))
        told = [heard.get(timeout=10)[1] for _ in range(3)]
    assert told[0] == ""
    assert all(str(address.id) in payload for payload in told[1:])
    assert heard.empty(), "the third report changed nothing"


def test_every_tenant_and_every_place_gets_its_own_page(clone_engine: sa.Engine, tenant: uuid.UUID) -> None:
    other = new_tenant(clone_engine)
    for owner, name in ((tenant, "a"), (other, "b"), (tenant, "c")):
        send(clone_engine, named(owner, name), Report(if_match=0))
    Reader(clone_engine, tenant).settle()
    (first,) = look(clone_engine, tenant, BEGINNING, 1).events
    places = [(tenant, first.place), (other, BEGINNING), (other, END), (tenant, BEGINNING), (uuid.uuid4(), BEGINNING)]
    queries = [EventQuery(owner, place) for owner, place in places]
    pages = run(clone_engine, lambda connection: read_events(connection, queries, limit=2))
    assert [[event.connector for event in page.events] for page in pages] == [["c"], ["b"], [], ["a", "c"], []]
    assert [page.is_last for page in pages] == [True, True, True, False, True]
    assert (first.pipeline, first.table, first.details, first.at.tzinfo is None) == ("demo", "orders", {}, False)


def test_a_stream_begins_behind_what_is_recorded_and_before_what_will_be(
    clone_engine: sa.Engine, tenant: uuid.UUID
) -> None:
    """And before what was recorded while another transaction is open: nobody can tell yet what comes first."""

    def newest() -> Newest:
        return run(clone_engine, lambda connection: read_newest(connection, tenant))

    assert newest().place == BEGINNING
    send(clone_engine, named(new_tenant(clone_engine), "other"), paused())
    reader = Reader(clone_engine, tenant)
    send(clone_engine, named(tenant, "a"), paused())
    reader.settle()
    assert newest().place == reader.place > BEGINNING
    with recording(clone_engine, named(tenant, "open")):
        send(clone_engine, named(tenant, "b"), paused())
        assert newest().place == reader.place
        assert newest().horizon > reader.place.xid
    assert [name for name, _ in reader.settle()] == ["open", "open", "b", "b"]
    assert newest().place == reader.place


def test_what_an_older_release_records_is_in_no_page(clone_engine: sa.Engine, tenant: uuid.UUID) -> None:
    send(clone_engine, named(tenant, "a"), Report(if_match=0))
    with clone_engine.begin() as connection:
        connection.execute(sa.text("UPDATE connector_event SET tenant_id = NULL"))
    assert Reader(clone_engine, tenant).settle() == []


def test_a_page_is_read_by_the_index(clone_engine: sa.Engine, tenant: uuid.UUID) -> None:
    explained = sa.text("EXPLAIN " + statement("read_events").text)
    parameters = {"tenants": [tenant], "xids": [1], "connectors": [tenant], "versions": [1], "kinds": [""], "page": 500}
    with clone_engine.connect() as connection:
        connection.execute(sa.text("SET LOCAL enable_bitmapscan = off"))
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))  # of tables that are empty here
        plan = "\n".join(connection.scalars(explained, parameters))
    assert "Index Scan using ix_connector_event_order" in plan
    assert "Presorted Key: e.xid, e.connector_id, e.version" in plan
    assert "xid < " in plan.partition("Filter:")[0].rpartition("Index Cond:")[2], "the index ends the scan"
    assert ">= ROW(r.xid, r.connector_id, r.version)" in plan
