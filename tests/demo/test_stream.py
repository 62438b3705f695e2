"""The demo's stream: real, lagging and catching up, and there again after a restart."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import nats
import psutil
from nats.js import JetStreamContext

from app.collectors.config import load
from app.demo.stream import server_url, start_stream
from app.demo.supervisor import Supervisor

COLLECTOR = [sys.executable, "-c", "import time; time.sleep(600)"]  # its own tests are elsewhere


@contextmanager
def demo(directory: Path) -> Iterator[str]:
    """The demo's stream while the block lasts; answers its server's URL."""
    with Supervisor(directory / "run") as supervisor:
        start_stream(supervisor, directory / "demo", COLLECTOR, os.environ)
        url = server_url(directory / "demo")
        assert url is not None
        yield url
        supervisor.check()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[JetStreamContext]:
    client = await nats.connect(url, allow_reconnect=False)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def published_and_acknowledged(url: str, published: int, acknowledged: int) -> tuple[int, int]:
    """Waits until so many messages are published and acknowledged; answers how many are then."""
    async with connected(url) as jetstream, asyncio.timeout(30):
        while True:
            last = (await jetstream.stream_info("orders")).state.last_seq
            floor = (await jetstream.consumer_info("orders", "billing")).ack_floor
            if floor is not None and last >= published and floor.stream_seq >= acknowledged:
                return last, floor.stream_seq
            await asyncio.sleep(0.05)


def test_the_consumer_lags_and_the_stream_survives_a_restart(tmp_path: Path) -> None:
    with demo(tmp_path) as url:
        last, acknowledged = asyncio.run(published_and_acknowledged(url, 200, 5))
        assert acknowledged < last / 2, "the consumer does not lag"
        (nats_config,) = load(tmp_path / "demo" / "collect.toml", {}).nats
        assert nats_config.servers == (url,)
        assert [(c.address.pipeline, c.address.endpoint) for c in nats_config.connectors] == [
            ("demo", "orders.billing")
        ]
    with demo(tmp_path) as url:
        assert asyncio.run(published_and_acknowledged(url, last, acknowledged + 20))[0] >= last


KILLED = """
import os, sys
from pathlib import Path
from app.demo.stream import start_stream
from app.demo.supervisor import Supervisor
directory = Path(sys.argv[1])
with Supervisor(directory / "run") as supervisor:
    start_stream(supervisor, directory / "demo", [sys.executable, "-c", "import time; time.sleep(600)"], os.environ)
    supervisor.wait()
"""


def test_a_server_left_behind_does_not_share_its_files_with_the_next(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path]) as killed:
        deadline, noted = time.monotonic() + 20, tmp_path / "run" / "children"
        while not noted.exists() or noted.read_text().count("\n") < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        left = psutil.Process(killed.pid).children()
        killed.kill()
    with demo(tmp_path) as url:
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left)
        asyncio.run(published_and_acknowledged(url, 1, 1))


def test_it_stops_before_it_has_started(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "run") as supervisor:
        os.kill(os.getpid(), signal.SIGTERM)
        start_stream(supervisor, tmp_path / "demo", COLLECTOR, os.environ)
        assert supervisor.wait() is True
