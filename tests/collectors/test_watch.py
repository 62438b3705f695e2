"""The loop over one source, with a source that answers as the test likes, on a real database."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from app.collectors.source import Found, Measurement, TransportError
from app.collectors.watch import Plan, Watch
from app.domain.connector import Connector, Report, StreamPosition
from app.domain.names import Address
from app.domain.position import Position
from app.services.report import Addressed, record
from app.store.engine import transact
from tests.collectors.client import Client
from tests.tenants import add_tenant

EVERY = timedelta(seconds=10)


def measurement(received: int, completed: int, epoch: str = "first") -> Measurement:
    return Measurement(
        position=StreamPosition(epoch=epoch, received=Position({"": received}), completed=Position({"": completed})),
        total_records=received - 1,
        buffered_records=received - completed,
        paused=False,
    )


class Script:
    """A source that answers one thing after the other, the last one for ever; before each answer, something happens."""

    tag = "script"

    def __init__(self, *answers: Found, before: Callable[[int], object] = lambda number: None) -> None:
        self._answers = answers
        self._before = before
        self.asked = 0
        self.closed = False

    async def measure(self, addresses: Sequence[Address]) -> Mapping[Address, Found]:
        number, self.asked = self.asked, self.asked + 1
        await asyncio.to_thread(self._before, number)
        answer = self._answers[min(number, len(self._answers) - 1)]
        return dict.fromkeys(addresses, answer)

    async def close(self) -> None:
        self.closed = True


def watch(client: Client, source: Script, interval: float = 0.05) -> Watch:
    plan = Plan(tenant=client.tenant, pipeline="demo", addresses=(client.address,), interval_seconds=interval)
    return Watch(plan, source, client.engine, EVERY)


def watching(watch: Watch, until: Callable[[], object]) -> None:
    """Runs the watch until ``until``, called in a thread, has come to its end."""

    async def both() -> None:
        task = asyncio.create_task(watch.run())
        try:
            await asyncio.to_thread(until)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(both())


def report(client: Client, if_match: int, found: Measurement) -> None:
    """Another reporter's report."""

    def work(connection: sa.Connection) -> None:
        add_tenant(connection, client.tenant)
        items = [Addressed(client.address, Report(if_match=if_match, position=found.position))]
        (outcome,) = record(connection, items, keep_every=EVERY)
        assert not isinstance(outcome, Exception), outcome

    transact(client.engine, work)


@pytest.fixture
def client(engine: sa.Engine, tenant: str) -> Client:
    return Client(engine, tenant)


def test_reports_follow_one_another_and_a_new_tenant_is_made(client: Client) -> None:
    source = Script(measurement(10, 5))
    watching(watch(client, source), lambda: client.wait_for_version(3))
    connector = client.recorded()
    assert connector.received == Position({"": 10})
    assert connector.completed == Position({"": 5})
    assert (connector.status.metrics.total_records, connector.status.metrics.buffered_records) == (9, 5)
    assert connector.interval_seconds == 0.05
    assert connector.status.health is not None
    assert connector.status.health.healthy
    assert source.closed


def test_an_overtaken_measurement_is_made_again_and_never_sent_again(client: Client) -> None:
    def overtake(number: int) -> None:
        if number == 0:
            report(client, 0, measurement(5, 5))

    source = Script(measurement(10, 10), measurement(20, 15), before=overtake)
    # An interval so long that nothing but the refusal can be what the second look is due to.
    watching(watch(client, source, interval=3600), lambda: client.wait_for_version(2))
    assert source.asked == 2
    connector = client.recorded()
    assert (connector.version, connector.received) == (2, Position({"": 20}))


def test_a_transport_error_is_recorded_and_what_was_known_stands(client: Client) -> None:
    lost = TransportError("nats://a: refused")
    source = Script(measurement(10, 5), lost, lost, measurement(12, 12))
    seen: list[Connector] = []

    def until() -> None:
        seen.extend(client.wait_for_version(version) for version in (1, 3, 4))

    watching(watch(client, source), until)
    failing, recovered = seen[1:]
    assert failing.received == Position({"": 10})
    assert failing.status.metrics.num_transport_errors == 2
    assert failing.status.metrics.total_records == 9
    assert failing.status.health is not None
    assert (failing.status.health.healthy, failing.status.health.description) == (False, str(lost))
    assert recovered.epoch == failing.epoch
    assert recovered.received == Position({"": 12})
    assert recovered.status.metrics.num_transport_errors == 2
    with client.engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT kind, tag, index, message FROM connector_error WHERE connector_id = :id ORDER BY index"),
            {"id": client.address.id},
        ).all()
    assert [tuple(row) for row in rows] == [("transport", "script", n, str(lost)) for n in (1, 2)]


def test_the_error_counter_outlives_the_collector(client: Client) -> None:
    for version in (1, 2):
        watching(watch(client, Script(TransportError("down")), 3600), partial(client.wait_for_version, version))
    assert client.recorded().status.metrics.num_transport_errors == 2


def test_failures_back_off(client: Client) -> None:
    source = Script(TransportError("down"))

    async def for_a_while() -> None:
        watched = watch(client, source)
        task = asyncio.create_task(watched.run())
        for _ in range(10):  # haste does not help against a server that is down
            await asyncio.sleep(0.1)
            watched.hurry(None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(for_a_while())
    assert 2 <= source.asked <= 6  # at 0, 0.05, 0.15, 0.35, 0.75 s rather than twenty times


def test_a_refused_position_shows_and_is_tried_again(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """As after a restore of the stream from an older copy: its sequences have gone back, until they have caught up."""
    seen: list[Connector] = []
    source = Script(
        measurement(10, 10),
        measurement(7, 7),
        measurement(7, 7),
        measurement(11, 11),
        before=lambda number: seen.append(client.recorded()) if number == 2 else None,
    )
    watching(watch(client, source), lambda: client.wait_for_version(4))
    (still,) = seen
    assert still.received == Position({"": 10})
    assert still.status.health is not None
    assert "received is 7 but 10 is recorded" in (still.status.health.description or "")
    assert still.status.metrics.num_transport_errors == 1
    assert client.recorded().received == Position({"": 11})
    refusals = [r.getMessage() for r in caplog.records if "received is 7 but 10 is recorded" in r.getMessage()]
    assert len(refusals) == 1, "the same complaint is logged once"


def test_haste_makes_two_rounds_that_begin_after_it(client: Client) -> None:
    source = Script(measurement(10, 10))
    watched = watch(client, source, interval=3600)

    async def hurried() -> int:
        task = asyncio.create_task(watched.run())
        await asyncio.to_thread(client.wait_for_version, 1)
        watched.hurry(client.address.id)
        await asyncio.to_thread(client.wait_for_version, 3)
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return client.recorded().version

    assert asyncio.run(hurried()) == 3


def test_haste_during_a_round_is_not_forgotten(client: Client) -> None:
    loop: asyncio.AbstractEventLoop
    watched: Watch

    def hurry(number: int) -> None:
        if number in (0, 1):
            asyncio.run_coroutine_threadsafe(_call(lambda: watched.hurry(client.address.id)), loop).result()

    async def hurried() -> int:
        nonlocal loop, watched
        loop = asyncio.get_running_loop()
        watched = watch(client, Script(measurement(10, 10), before=hurry), interval=3600)
        task = asyncio.create_task(watched.run())
        await asyncio.to_thread(client.wait_for_version, 4)
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return client.recorded().version

    # Hurried during rounds 1 and 2: two whole rounds follow the later one.
    assert asyncio.run(hurried()) == 4


async def _call(work: Callable[[], None]) -> None:
    work()


def test_two_collectors_on_one_connector(client: Client) -> None:
    first, second = Script(measurement(10, 10)), Script(measurement(10, 10))

    async def both(stop: Callable[[], Awaitable[object]]) -> None:
        tasks = [asyncio.create_task(watch(client, source, 0.05).run()) for source in (first, second)]
        await stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(both(lambda: asyncio.to_thread(client.wait_for_version, 30)))
    version = client.recorded().version
    # Each report was measured after the one before it was recorded: looks that were overtaken are made again.
    assert version <= first.asked + second.asked
    assert min(first.asked, second.asked) >= version // 4, "one of them starves"


def test_the_database_goes_away_and_comes_back(
    database_server: str, clone: str, clone_engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    client, source, name = Client(clone_engine), Script(measurement(10, 10)), sa.make_url(clone).database
    admin = sa.create_engine(database_server, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")

    def away_and_back() -> None:
        client.wait_for_version(2)
        with admin.connect() as connection:
            connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            connection.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
            )
            asked = source.asked
            time.sleep(0.5)
            assert source.asked <= asked + 1, "something was measured whose version could not be learnt"
            connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        client.wait_for_version(client.recorded().version + 2)

    watching(watch(client, source), away_and_back)
    assert "the database does not answer" in caplog.text
