"""What is looked at now and then of a process, rather than counted as it happens, for its metrics."""

import time

from app import metrics
from app.api.runtime import Runtime
from app.store.engine import load_of

_EVERY_SECONDS = 2.0


def keep_looking(here: Runtime) -> None:
    """Looks every few seconds, for as long as the process lives."""
    while True:
        look(here)
        time.sleep(_EVERY_SECONDS)


def look(here: Runtime) -> None:
    """Sets this process's gauges."""
    load = load_of(here.engine)
    metrics.PROCESSES.set(1)
    metrics.CALLERS.set(load.callers)
    metrics.CONNECTIONS.set(load.connections)
    metrics.CONNECTIONS_MAX.set(here.config.pool_size)
    metrics.WAITERS.set(here.waiters.number)
    metrics.WAITERS_MAX.set(here.config.max_waits)
    metrics.STREAMS.set(here.streams.number)
    metrics.REMEMBERED_KEYS.set(here.principals.number)
    for kind in ("stats", "issue", "check", "report"):
        metrics.QUEUED.labels(kind).set(getattr(here, kind).queued)
    metrics.succeeded("vitals")
