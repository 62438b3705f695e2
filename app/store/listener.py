"""LISTEN: a thread with a connection of its own that passes notifications on."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from app import metrics
from app.store.engine import session_options

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5  # how soon the thread sees that it is to end
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
_SETTINGS: dict[str, Any] = {
    "autocommit": True,
    "application_name": "tidemark-listener",
    "connect_timeout": 5,
    # It never sends anything, so only these find out that the other side is gone: after about 20 s.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


class Listener:
    """Listens on some channels for as long as it lives, across losses of the connection.

    Notifications are hints: none comes for what was notified while nobody listened. So ``on_gap`` is called whenever
    listening has begun, the first time included: all that may have been notified before has to be looked up. Both
    callbacks run in the listener's thread, and must not block it. It uses ``threading`` only, so that it works under
    gevent too. The connection must be to a server or a pooler that keeps sessions apart.
    """

    def __init__(
        self,
        url: str,
        channels: Sequence[str],
        on_notify: Callable[[str, str], object],
        on_gap: Callable[[], object],
    ) -> None:
        """``on_notify`` is given the channel and the payload; ``url`` is SQLAlchemy's."""
        self._url = make_url(url)
        self._channels = channels
        self._on_notify = on_notify
        self._on_gap = on_gap
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Starts the thread. Do so after a fork, never before."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread, which takes half a second, or a few when it is just connecting to a dead server."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        metrics.succeeded("listener")
        while not self._closing.is_set():
            try:
                with self._connect() as connection:
                    pause = _FIRST_PAUSE_SECONDS
                    self._pass_on(connection)
            except psycopg.Error as error:
                _log.warning("not listening for notifications, trying again: %s", type(error).__name__)
            except Exception:
                _log.exception("a notification could not be passed on")
            self._closing.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _connect(self) -> psycopg.Connection:
        _, settings = self._url.get_dialect()().create_connect_args(self._url)
        settings.update(_SETTINGS, options=session_options(self._url, {"idle_session_timeout": 0}))
        return psycopg.connect(**settings)

    def _pass_on(self, connection: psycopg.Connection) -> None:
        for channel in self._channels:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._on_gap()
        while not self._closing.is_set():
            metrics.succeeded("listener")
            for notification in connection.notifies(timeout=_POLL_SECONDS):
                self._on_notify(notification.channel, notification.payload)
