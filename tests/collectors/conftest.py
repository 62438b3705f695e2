"""A JetStream server, and collectors that run beside the test."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from app.collectors.config import CollectorConfig
from app.collectors.loop import collect
from tests.collectors.jetstream import JetStreamServer

Collecting = Callable[[str, CollectorConfig], AbstractContextManager[None]]


@pytest.fixture
def jetstream(tmp_path: Path) -> Iterator[JetStreamServer]:
    """A running server for this test alone."""
    server = JetStreamServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def tenant() -> str:
    """A tenant for this test alone."""
    return uuid.uuid4().hex


@pytest.fixture
def collecting() -> Collecting:
    """Runs a collector for as long as the block lasts, in a thread of its own."""

    @contextmanager
    def collecting(database_url: str, config: CollectorConfig) -> Iterator[None]:
        loop, stop = asyncio.new_event_loop(), asyncio.Event()
        collector = collect(database_url, config, stop, keep_every=timedelta(seconds=10), timeout_seconds=5)
        thread = threading.Thread(target=loop.run_until_complete, args=(collector,))
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()

    return collecting
