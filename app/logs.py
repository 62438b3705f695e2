"""Logging to standard error. What an exception says is left out: it may hold SQL, an address or a secret."""

import logging
import traceback
from types import TracebackType

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(level: str) -> None:
    """Logs from ``level`` on (debug, info, warning, error)."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every look at the schema's revision


class _Formatter(logging.Formatter):
    """Tells of an exception its class, and where it was raised."""

    def formatException(  # noqa: N802 - logging's name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        kind, _, at = ei
        return "".join(traceback.format_tb(at)) + (kind.__name__ if kind else "")
