"""A port beside gunicorn's own, opened by its master and served by every worker."""

import os
import socket
from functools import cache
from typing import Any

from gevent import socket as gevent_socket
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

_AT_A_TIME = 4  # requests that one worker answers


@cache
def opened(host: str, port: int) -> socket.socket:
    """Listens there, once in this process, also when gunicorn reads its settings again. Raises OSError."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def serve(listening: socket.socket, application: Any) -> None:
    """Has this worker answer there, too, as long as it lives; in the background. Call it after the fork."""
    inherited = gevent_socket.socket(listening.family, listening.type, fileno=os.dup(listening.fileno()))
    WSGIServer(inherited, application, log=None, error_log=None, spawn=Pool(_AT_A_TIME)).start()
