"""The whole collector: a real stream, a real database, the real process."""

import asyncio
import os
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.domain.connector import Connector
from app.domain.errors import PipelineRestarted
from app.domain.position import Position
from tests.collectors.client import Client
from tests.collectors.conftest import Collecting
from tests.collectors.jetstream import JetStreamServer, config, connected, consume, make, publish


@pytest.fixture
def client(engine: sa.Engine, tenant: str) -> Client:
    return Client(engine, tenant)


def test_a_token_on_an_idle_stream_completes_at_once(
    clone: str, clone_engine: sa.Engine, jetstream: JetStreamServer, collecting: Collecting
) -> None:
    asyncio.run(make(jetstream.url))
    asyncio.run(publish(jetstream.url, "orders.a"))
    asyncio.run(consume(jetstream.url, 1))
    client = Client(clone_engine)
    # The interval is so long that only the haste for a token can be what completes it.
    with collecting(clone, config(jetstream.url, interval=3600)):
        client.wait_for_version(3)
        taken = sorted(client.wait(client.issue()) for _ in range(50))
    print(f"\na token on an idle stream: median {taken[25]:.3f} s, slowest of 50 {taken[-1]:.3f} s")
    assert taken[-1] < 2


def test_tokens_by_several_issuers_at_once_complete(
    clone: str, clone_engine: sa.Engine, jetstream: JetStreamServer, collecting: Collecting
) -> None:
    asyncio.run(make(jetstream.url))
    clients = [Client(clone_engine) for _ in range(5)]
    with collecting(clone, config(jetstream.url, interval=3600)):
        clients[0].wait_for_version(3)
        for _ in range(20):
            tokens = [(client, client.issue()) for client in clients]
            assert max(client.wait(token) for client, token in tokens) < 2


def test_a_token_issued_before_the_collector_started_completes(
    engine: sa.Engine, database_url: str, client: Client, jetstream: JetStreamServer, collecting: Collecting
) -> None:
    asyncio.run(make(jetstream.url))
    settings = config(jetstream.url, tenant=client.tenant, interval=3600)
    with collecting(database_url, settings):
        client.wait_for_version(1)
    token = client.issue()
    assert not client.is_complete(token)
    with collecting(database_url, settings):
        client.wait(token)


def test_lag_is_recorded_and_caught_up(
    database_url: str, client: Client, jetstream: JetStreamServer, collecting: Collecting
) -> None:
    asyncio.run(make(jetstream.url))
    asyncio.run(publish(jetstream.url, *["orders.a"] * 4))
    with collecting(database_url, config(jetstream.url, tenant=client.tenant)):
        lagging = client.wait_for_version(1)
        token = client.issue()
        client.wait_for_version(4)
        assert not client.is_complete(token)
        asyncio.run(consume(jetstream.url, 4))
        client.wait(token)
    assert (lagging.received, lagging.completed) == (Position({"": 5}), Position({"": 1}))
    assert client.recorded().completed == Position({"": 5})


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_an_unreachable_server_is_recorded_until_it_is_back(
    database_url: str, client: Client, jetstream: JetStreamServer, collecting: Collecting, how: str
) -> None:
    asyncio.run(make(jetstream.url))
    with collecting(database_url, config(jetstream.url, tenant=client.tenant, interval=0.05)):
        first = client.wait_for_version(1)
        jetstream.stop() if how == "stopped" else jetstream.freeze(frozen=True)
        unhealthy = wait_until_healthy(client, healthy=False)
        jetstream.start() if how == "stopped" else jetstream.freeze(frozen=False)
        again = wait_until_healthy(client, healthy=True)
    assert unhealthy.status.metrics.num_transport_errors >= 1
    assert first.epoch == unhealthy.epoch == again.epoch


def test_a_stream_made_again_is_a_new_epoch(
    database_url: str, client: Client, jetstream: JetStreamServer, collecting: Collecting
) -> None:
    async def make_again() -> None:
        async with connected(jetstream.url) as js:
            await js.delete_stream("orders")
        await make(jetstream.url)

    asyncio.run(make(jetstream.url))
    asyncio.run(publish(jetstream.url, "orders.a", "orders.a"))
    with collecting(database_url, config(jetstream.url, tenant=client.tenant, interval=0.05)):
        client.wait_for_version(2)
        lost = client.issue()
        asyncio.run(make_again())
        with pytest.raises(PipelineRestarted):
            client.wait(lost)
        client.wait(client.issue())
    connector = client.recorded()
    assert connector.epoch is not None
    assert (connector.epoch.number, connector.received) == (2, Position({"": 1}))


def wait_until_healthy(client: Client, *, healthy: bool, seconds: float = 40) -> Connector:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        connector = client.recorded()
        if connector.status.health is not None and connector.status.health.healthy is healthy:
            return connector
        time.sleep(0.02)
    raise AssertionError(f"not healthy={healthy} after {seconds} s")


COLLECT = """\
[[nats]]
tenant = "{tenant}"
pipeline = "demo"
url = "{url}"
connectors = [{{ stream = "orders", consumer = "billing" }}]
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("reachable", [True, False])
def test_a_signal_ends_the_process_cleanly(
    database_url: str,
    client: Client,
    jetstream: JetStreamServer,
    tmp_path: Path,
    number: signal.Signals,
    reachable: bool,
) -> None:
    asyncio.run(make(jetstream.url))
    if not reachable:
        jetstream.stop()
    file = tmp_path / "collect.toml"
    file.write_text(COLLECT.format(tenant=client.tenant, url=jetstream.url))
    program = Path(sysconfig.get_path("scripts")) / "tidemark"
    with subprocess.Popen(
        [program, "collect", "--config", file],
        env=os.environ | {"DATABASE_URL": database_url},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            client.wait_for_version(1)
            process.send_signal(number)
            started = time.monotonic()
            _, told = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in told) == (0, False), told
    assert time.monotonic() - started < 5
