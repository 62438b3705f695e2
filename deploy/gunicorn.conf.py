"""gunicorn's settings, for `tidemark serve` and for `gunicorn -c deploy/gunicorn.conf.py wsgi:app` alike."""

from gevent import monkey

monkey.patch_all()  # first of all: psycopg and others choose how to wait when they are imported

import os
import resource
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from app.config import Config, ConfigError

_config = Config.read(os.environ)
_config.check_exposure()
# It is there already when a reload reads this again.
if _config.metrics_port is not None and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    # Before prometheus-client is imported, which looks for it just then.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="tidemark-metrics-")

from prometheus_client.multiprocess import mark_process_dead

from app import logs, metrics, private_port
from app.api import runtime, vitals
from app.domain.errors import TidemarkError
from app.services.maintenance import Plan, keep_maintained
from app.store.engine import make_engine
from app.store.health import refuse_unsafe

logs.configure(_config.log_level)

_OTHER_FILES = 200  # that a worker may have open, beside its connections; with some to spare

chdir = str(Path(__file__).parents[1])
wsgi_app = "wsgi:app"
bind = f"[{_config.host}]:{_config.port}" if ":" in _config.host else f"{_config.host}:{_config.port}"
if _config.socket is not None:
    bind = f"unix:{_config.socket}"
    umask = 0o007  # of what is made here, the socket: for its owner and its group, which the proxy belongs to
workers = _config.workers
worker_class = "app.worker.Worker"
worker_connections = _config.worker_connections
preload_app = False  # each worker makes its own database engine, after the fork
# gunicorn believes nothing that a proxy says of a request; the application, of the client's address (TRUSTED_PROXIES).
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
http_parser = "fast"  # gunicorn_h1c, or no start: which one parses is not left to what happens to be installed
timeout = 60
graceful_timeout = 30
keepalive = 75
backlog = 2048
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
max_requests = 1_000_000  # a worker makes room for a new one some day, should anything leak; not all on the same day
max_requests_jitter = 200_000
control_socket_disable = True
loglevel = "info" if _config.log_level == "debug" else _config.log_level  # its details hold paths
logger_class = "app.worker.Log"


def on_starting(arbiter: Any) -> None:
    """No token is issued on a database that may forget it. The engine is gone again before the first fork."""
    _make_room(_config.worker_connections + _config.pool_size + _OTHER_FILES)
    if _config.metrics_port is not None:
        private_port.opened(_config.metrics_host, _config.metrics_port)
    if _config.database_url is None:
        return  # which the application refuses
    engine = make_engine(_config.database_url, pool_size=1, timeout_seconds=_config.request_timeout)
    try:
        refuse_unsafe(engine, _config)
    except (ConfigError, TidemarkError) as refused:
        raise RuntimeError(str(refused)) from None  # gunicorn prints what such a one says, and ends
    finally:
        engine.dispose()


def pre_request(worker: Any, request: Any) -> None:
    """Nothing, where gunicorn would offer its log the method and the path, which can hold a token."""


def post_worker_init(worker: Any) -> None:
    """A server that runs for months needs partitions and rollups all the time; one worker at a time makes them."""
    if _config.database_url is not None:
        _start("maintenance", keep_maintained, Plan.of(_config, _config.database_url))
    if _config.metrics_port is not None:
        private_port.serve(private_port.opened(_config.metrics_host, _config.metrics_port), metrics.application())
        _start("vitals", vitals.keep_looking, runtime.of(worker.application))


def child_exit(server: Any, worker: Any) -> None:
    """What a worker had just then ends with it; what it has counted stays."""
    if _config.metrics_port is not None:
        mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """The processes' counters go with the last of them."""
    if _config.metrics_port is not None:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def _start(name: str, work: Any, argument: Any) -> None:
    threading.Thread(target=work, args=(argument,), name=name, daemon=True).start()


def _make_room(files: int) -> None:
    """Each connection is an open file, and systemd gives a process 1,024, yet lets it have more as soon as it asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        most = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
