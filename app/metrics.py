"""What this process measures of itself, for the operators' private port (docs/metrics.md).

prometheus-client keeps the values in files that all workers share, its multiprocess mode, where the environment's
PROMETHEUS_MULTIPROC_DIR was set before this is imported, as deploy/gunicorn.conf.py does. Else nobody reads them.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Histogram(
    "tidemark_request_duration_seconds",
    "Time until the answer to a request began, waits included.",
    ["route", "status"],
    buckets=_SECONDS,
)
BATCHES = Histogram(
    "tidemark_batch_items", "Calls that went to the database together.", ["kind"], buckets=(1, 2, 5, 10, 20, 50, 100)
)
CALLS = Counter(
    "tidemark_calls",
    "Stats read, reports recorded, tokens issued and checked, by what became of each.",
    ["kind", "outcome"],
)
KEY_LOOKUPS = Counter("tidemark_key_lookups", "API keys looked up in the database, for they were not remembered.")
QUEUED = Gauge(
    "tidemark_queued_calls",
    "Calls that wait for the batch after the present one.",
    ["kind"],
    multiprocess_mode="livesum",
)
CALLERS = Gauge("tidemark_database_callers", "Requests at the database or waiting for it.", multiprocess_mode="livesum")
CONNECTIONS = Gauge("tidemark_pool_connections", "Database connections in use.", multiprocess_mode="livesum")
CONNECTIONS_MAX = Gauge("tidemark_pool_connections_max", "Database connections allowed.", multiprocess_mode="livesum")
WAITERS = Gauge("tidemark_waiters", "Requests that wait for tokens or follow events.", multiprocess_mode="livesum")
WAITERS_MAX = Gauge("tidemark_waiters_max", "The same, at most.", multiprocess_mode="livesum")
STREAMS = Gauge("tidemark_streams", "Streams of events that are open.", multiprocess_mode="livesum")
REMEMBERED_KEYS = Gauge("tidemark_remembered_keys", "API keys remembered.", multiprocess_mode="livesum")
PROCESSES = Gauge("tidemark_processes", "Worker processes.", multiprocess_mode="livesum")
LAST_SUCCESS = Gauge(
    "tidemark_thread_last_success_timestamp_seconds",
    "When a background thread last did its work, or began, in the process where that is the longest ago.",
    ["thread"],
    multiprocess_mode="livemin",
)

# Looking up a metric's labels takes as long as counting.
_request = cache(REQUESTS.labels)
_batch = cache(BATCHES.labels)
_call = cache(CALLS.labels)
_thread = cache(LAST_SUCCESS.labels)


def measured(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The WSGI application (Flask's), the time and the status of each of whose requests are counted, by its route."""

    def measuring(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun = time.perf_counter()

        def start(status: str, *arguments: Any) -> Any:
            rule = environ["werkzeug.request"].url_rule
            _request(rule.endpoint if rule else "none", status[:3]).observe(time.perf_counter() - begun)
            return start_response(status, *arguments)

        return application(environ, start)

    return measuring


def count_batch(kind: str, outcomes: Sequence[object]) -> None:
    """Calls of a kind went to the database together; of each an error has become, or what counts as ``ok``."""
    _batch(kind).observe(len(outcomes))
    errors = [each for each in outcomes if isinstance(each, Exception)]
    if len(errors) < len(outcomes):
        _call(kind, "ok").inc(len(outcomes) - len(errors))
    for error in errors:
        _call(kind, type(error).__name__).inc()


def succeeded(thread: str) -> None:
    """A background thread has just done its work; or begun, for one that never gets it done must be seen, too."""
    _thread(thread).set(time.time())


def application() -> Any:
    """A WSGI application that tells what all processes have measured together."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # of prometheus-client
    return make_wsgi_app(registry)
