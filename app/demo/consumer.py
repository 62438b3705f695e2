"""``python -m app.demo.consumer URL``: bills orders at a steady pace, one after the other."""

import asyncio
import sys
from contextlib import suppress

from app.demo.jetstream import CONSUMED_PER_SECOND, CONSUMER, STREAM, connected


async def consume(url: str) -> None:
    """Takes, bills and acknowledges orders, for ever."""
    async with connected(url) as jetstream:
        orders = await jetstream.pull_subscribe_bind(CONSUMER, STREAM)
        while True:
            with suppress(TimeoutError):  # there was nothing to do
                for order in await orders.fetch(10, timeout=5):
                    await asyncio.sleep(1 / CONSUMED_PER_SECOND)
                    await order.ack()


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1]))
