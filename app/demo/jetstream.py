"""The demo's stream and its durable consumer, on a real JetStream server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import nats
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from nats.js.errors import BadRequestError

STREAM = "orders"
SUBJECT = "orders.placed"
CONSUMER = "billing"

BURST = 600  # messages
BURST_SECONDS = 3.0
CYCLE_SECONDS = 30.0
CONSUMED_PER_SECOND = 40.0  # so a burst is worked off in 15 s, and the consumer is idle for as long again

_STREAM = StreamConfig(name=STREAM, subjects=["orders.>"], max_msgs=200_000, max_age=timedelta(days=7).total_seconds())
_CONSUMER = ConsumerConfig(durable_name=CONSUMER, ack_policy=AckPolicy.EXPLICIT, ack_wait=5)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[JetStreamContext]:
    """JetStream at the server, to which the connection is kept up until the end."""
    client = await nats.connect(url, max_reconnect_attempts=-1)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def prepare(url: str, *, seconds: float = 30.0) -> None:
    """Makes the stream and its consumer unless they are there. Raises nats.errors.Error and TimeoutError."""
    async with asyncio.timeout(seconds), connected(url) as jetstream:
        try:
            await jetstream.add_stream(_STREAM)
        except BadRequestError:  # an earlier version of the demo has made it with other settings
            await jetstream.update_stream(_STREAM)
        await jetstream.add_consumer(STREAM, _CONSUMER)
