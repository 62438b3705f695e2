"""The promise of a completion token, against a real stream under load.

Several clients, each again and again: publish some messages, ask for a token, wait until it is complete, and then ask
JetStream whether every message of theirs is acknowledged. Clients go over HTTP to a live server, a consumer that
cannot keep up acknowledges one message after the other, and the collector runs as it always does.
"""

import asyncio
import http.client
import json
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from nats.js import JetStreamContext
from werkzeug.serving import make_server

from app.config import Config
from app.domain import token as token_rules
from app.factory import create_app
from tests.collectors.client import Client
from tests.collectors.conftest import Collecting
from tests.collectors.jetstream import JetStreamServer, config, connected, make

ROUNDS = 1000
CLIENTS = 8
MOST_MESSAGES = 10  # a client publishes in a round
SERVICE_SECONDS = 0.003  # of a message, so that the clients together are always ahead of the consumer
POLL_SECONDS = 0.02


@dataclass
class Tally:
    """What the clients have seen."""

    rounds: int = 0
    waited: int = 0  # rounds whose token was not complete at the first look
    early: int = 0


@dataclass(frozen=True)
class Tokens:
    """Tokens on the demo's connector, over HTTP."""

    port: int

    def issue(self) -> str:
        return str(self._get("tables/orders/connectors/billing/completion_token")["token"])

    def is_complete(self, token: str) -> bool:
        return bool(self._get(f"completion_status?token={token}")["status"] == "complete")

    def _get(self, path: str) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/v0/pipelines/demo/{path}")
            response = connection.getresponse()
            body: dict[str, object] = json.loads(response.read())
            assert response.status in (200, 202), body
            return body
        finally:
            connection.close()


@pytest.fixture
def tokens(clone: str) -> Iterator[Tokens]:
    """The server, live."""
    app = create_app(Config(database_url=clone, pool_size=CLIENTS))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Tokens(server.port)
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["tidemark"].engine.dispose()


async def one_round(jetstream: JetStreamContext, tokens: Tokens, messages: int, tally: Tally) -> None:
    """One round of a client."""
    sequences = [(await jetstream.publish("orders.placed", b"an order")).seq for _ in range(messages)]
    token = await asyncio.to_thread(tokens.issue)
    looks = 1
    while not await asyncio.to_thread(tokens.is_complete, token):
        looks += 1
        await asyncio.sleep(POLL_SECONDS)
    consumer = await jetstream.consumer_info("orders", "billing")
    # The consumer acknowledges in the order of the stream, so the floor tells of every message.
    assert consumer.ack_floor is not None
    tally.early += consumer.ack_floor.stream_seq < max(sequences)
    tally.waited += looks > 1
    tally.rounds += 1


async def client(url: str, tokens: Tokens, dice: random.Random, tally: Tally, *, stop_at_early: bool) -> None:
    """Makes rounds until there are enough of them, or one has caught a token that was complete early."""
    async with connected(url) as jetstream:
        while tally.rounds < ROUNDS and not (stop_at_early and tally.early):
            await one_round(jetstream, tokens, dice.randint(1, MOST_MESSAGES), tally)
            await asyncio.sleep(dice.random() * 0.1)


@asynccontextmanager
async def lagging_consumer(url: str) -> AsyncIterator[None]:
    """Takes messages one after the other, SERVICE_SECONDS each, while the block lasts."""

    async def consume() -> None:
        async with connected(url) as jetstream:
            orders = await jetstream.pull_subscribe_bind("billing", "orders")
            while True:
                with suppress(TimeoutError):
                    for message in await orders.fetch(50, timeout=1):
                        await asyncio.sleep(SERVICE_SECONDS)
                        await message.ack()

    task = asyncio.create_task(consume())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def clients(url: str, tokens: Tokens, dice: random.Random, *, stop_at_early: bool) -> Tally:
    """All of them at once, until they are through."""
    tally = Tally()
    async with lagging_consumer(url):
        every = [
            client(url, tokens, random.Random(dice.random()), tally, stop_at_early=stop_at_early)
            for _ in range(CLIENTS)
        ]
        await asyncio.gather(*every)
    return tally


@pytest.fixture
def dice() -> random.Random:
    """Chance, which the seed printed repeats."""
    seed = os.environ.get("NEVER_EARLY_SEED") or str(random.SystemRandom().getrandbits(32))
    print(f"\nNEVER_EARLY_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def stream(
    clone: str, clone_engine: sa.Engine, jetstream: JetStreamServer, collecting: Collecting
) -> Iterator[JetStreamServer]:
    """The server of a stream that a collector measures into the database."""
    asyncio.run(make(jetstream.url))
    with collecting(clone, config(jetstream.url, interval=0.2)):
        Client(clone_engine).wait_for_version(1)
        yield jetstream


@pytest.mark.timeout(300)
def test_a_token_is_never_complete_early(stream: JetStreamServer, tokens: Tokens, dice: random.Random) -> None:
    started = time.monotonic()
    tally = asyncio.run(clients(stream.url, tokens, dice, stop_at_early=False))
    print(f"{tally} in {time.monotonic() - started:.1f} s")
    assert tally.early == 0
    assert tally.rounds >= ROUNDS
    assert tally.waited > tally.rounds / 2, "the consumer did not lag, so this has shown nothing"


@pytest.mark.timeout(300)
def test_the_same_clients_catch_a_binding_that_is_too_low(
    stream: JetStreamServer, tokens: Tokens, dice: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_rules, "SAMPLED_AHEAD", 0)
    started = time.monotonic()
    tally = asyncio.run(clients(stream.url, tokens, dice, stop_at_early=True))
    print(f"{tally} in {time.monotonic() - started:.1f} s")
    assert tally.early > 0
