"""``python -m app.demo.producer URL``: orders come in bursts."""

import asyncio
import json
import sys
from contextlib import suppress
from itertools import count

from app.demo.jetstream import BURST, BURST_SECONDS, CYCLE_SECONDS, SUBJECT, connected


async def produce(url: str) -> None:
    """Publishes a burst of orders every cycle, for ever."""
    async with connected(url) as jetstream:
        for number in count():
            order = {"order": number, "amount": 1 + number * 37 % 500}
            with suppress(TimeoutError):  # the server is busy; the next one will do
                await jetstream.publish(SUBJECT, json.dumps(order).encode())
            last_of_burst = number % BURST == BURST - 1
            await asyncio.sleep(CYCLE_SECONDS - BURST_SECONDS if last_of_burst else BURST_SECONDS / BURST)


if __name__ == "__main__":
    asyncio.run(produce(sys.argv[1]))
