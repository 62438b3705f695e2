"""The collector: a watch over each configured source, and the listener that hurries them when a token was issued."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Engine

from app.collectors.config import CollectorConfig, NatsConfig
from app.collectors.nats import NatsJetStream
from app.collectors.watch import Plan, Watch
from app.store.engine import make_engine
from app.store.listener import Listener
from app.store.tokens import TOKEN_CHANNEL


def run(database_url: str, config: CollectorConfig, *, keep_every: timedelta, timeout_seconds: float) -> None:
    """Collects until SIGTERM or SIGINT; call it in the main thread.

    ``keep_every`` is the interval to which observations are thinned, ``timeout_seconds`` the most that a statement
    takes, and the most that it takes to end when the database hangs.
    """
    asyncio.run(_until_signalled(database_url, config, keep_every, timeout_seconds))


async def collect(
    database_url: str, config: CollectorConfig, stop: asyncio.Event, *, keep_every: timedelta, timeout_seconds: float
) -> None:
    """Collects until ``stop`` is set, on a loop of its own: its default executor is used up when this returns."""
    engine = make_engine(database_url, timeout_seconds=timeout_seconds)
    watches = [_watch_nats(source, engine, keep_every) for source in config.nats]
    listener = _listener(database_url, watches)
    listener.start()
    stopping = asyncio.create_task(stop.wait())
    tasks = [asyncio.create_task(watch.run()) for watch in watches]
    try:
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        ended = await asyncio.gather(*tasks, asyncio.to_thread(listener.close), return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()  # statements that were under way
        engine.dispose()
    for defect in ended:
        if isinstance(defect, Exception):
            raise defect


async def _until_signalled(
    database_url: str, config: CollectorConfig, keep_every: timedelta, timeout_seconds: float
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await collect(database_url, config, stop, keep_every=keep_every, timeout_seconds=timeout_seconds)


def _watch_nats(config: NatsConfig, engine: Engine, keep_every: timedelta) -> Watch:
    plan = Plan(
        tenant=config.tenant,
        pipeline=config.pipeline,
        addresses=tuple(connector.address for connector in config.connectors),
        interval_seconds=config.interval_seconds,
    )
    return Watch(plan, NatsJetStream(config), engine, keep_every)


def _listener(database_url: str, watches: Sequence[Watch]) -> Listener:
    """It hurries the watches: of the connector that a token was issued on, or of all when some may have been missed."""
    loop = asyncio.get_running_loop()

    def hurry(connector_id: UUID | None) -> None:
        for watch in watches:
            watch.hurry(connector_id)

    def on_token(channel: str, connector_id: str) -> None:
        with suppress(ValueError):  # anybody may notify anything
            loop.call_soon_threadsafe(hurry, UUID(connector_id))

    return Listener(database_url, [TOKEN_CHANNEL], on_token, lambda: loop.call_soon_threadsafe(hurry, None))
