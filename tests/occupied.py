"""An engine whose only connection is in use, as by another request."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from app.store.engine import run


@contextmanager
def occupied(engine: sa.Engine) -> Iterator[threading.Event]:
    """The engine's one connection is taken until the event is set or the block is left."""
    begun, release = threading.Event(), threading.Event()

    def hold(_: sa.Connection) -> None:
        begun.set()
        release.wait()

    thread = threading.Thread(target=run, args=(engine, hold))
    thread.start()
    assert begun.wait(60), "no connection is to be had"
    try:
        yield release
    finally:
        release.set()
        thread.join()
