"""Whether whoever sent a request still listens."""

import socket
from collections.abc import Mapping
from typing import Any


def hung_up(environ: Mapping[str, Any]) -> bool:
    """Whether the client has closed its connection; False under servers other than gunicorn, which do not tell it.

    Nothing is taken from the connection: its next request may have come already.
    """
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return False
    plain = getattr(connection, "_sock", connection)  # gevent's own would wait for something to come
    try:
        return bool(plain.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"")
    except BlockingIOError:
        return False
    except OSError:
        return True
