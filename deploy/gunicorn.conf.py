"""gunicorn's settings, for `tidemark serve` and for `gunicorn -c deploy/gunicorn.conf.py wsgi:app` alike."""

import os
import threading
from typing import Any

from app.config import Config
from app.store.partitions import keep_partitions

_config = Config.read(os.environ)
_config.check_exposure()

wsgi_app = "wsgi:app"
bind = f"[{_config.host}]:{_config.port}" if ":" in _config.host else f"{_config.host}:{_config.port}"
workers = _config.workers
worker_class = "gthread"
threads = _config.threads
preload_app = False  # each worker makes its own database engine, after the fork
timeout = 60
graceful_timeout = 30
keepalive = 75
limit_request_line = 8190
control_socket_disable = True
loglevel = _config.log_level
accesslog = None  # a request line can hold a token; nginx keeps the access log


def post_worker_init(worker: Any) -> None:
    """A server that runs for months needs partitions all the time; one worker at a time makes them."""
    threading.Thread(target=keep_partitions, args=(_config.database_url,), name="partitions", daemon=True).start()
