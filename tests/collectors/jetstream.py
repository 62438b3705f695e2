"""A real JetStream server for tests, and what tests do at it."""

import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
from nats.js import JetStreamContext

from app.collectors.config import CollectorConfig, parse


class JetStreamServer:
    """A server with its data in a directory; stopped and started again it is the same, at the same address."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        place = ["-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self._directory)]
        self._process = subprocess.Popen([program, "-js", *place, "-l", str(self._directory / "log")])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(f"nats-server does not start, see {self._directory / 'log'}")

    def freeze(self, *, frozen: bool) -> None:
        """Has it keep its connections without answering, or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[JetStreamContext]:
    """JetStream at the server."""
    client = await nats.connect(url, allow_reconnect=False)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def make(
    url: str, *, stream: str = "orders", consumer: str = "billing", filters: tuple[str, ...] = (), **settings: Any
) -> None:
    """Makes a stream of the subjects ``{stream}.>`` and a durable pull consumer on it."""
    settings = {"ack_policy": "explicit", "filter_subjects": list(filters) or None, **settings}
    async with connected(url) as jetstream:
        await jetstream.add_stream(name=stream, subjects=[f"{stream}.>"])
        await jetstream.add_consumer(stream, durable_name=consumer, **settings)


async def publish(url: str, *subjects: str) -> list[int]:
    """Publishes a message to each subject; answers their sequences."""
    async with connected(url) as jetstream:
        return [(await jetstream.publish(subject, b"an order")).seq for subject in subjects]


async def consume(url: str, count: int, *, leave: tuple[int, ...] = (), stream: str = "orders") -> None:
    """Takes so many messages, and acknowledges all but those of the sequences to leave."""
    async with connected(url) as jetstream:
        orders = await jetstream.pull_subscribe_bind("billing", stream)
        for message in await orders.fetch(count, timeout=5):
            if message.metadata.sequence.stream not in leave:
                await message.ack_sync()
        await orders.unsubscribe()


def config(
    url: str, *, tenant: str = "default", interval: float = 0.2, consumers: tuple[str, ...] = ("billing",)
) -> CollectorConfig:
    """What a collector of the stream ``orders`` is configured with."""
    connectors = ", ".join(f'{{ stream = "orders", consumer = "{consumer}" }}' for consumer in consumers)
    return parse(
        f"""
        [[nats]]
        tenant = "{tenant}"
        pipeline = "demo"
        url = "{url}"
        interval_seconds = {interval}
        connectors = [{connectors}]
        """,
        {},
    )
