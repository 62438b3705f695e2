"""Logging to standard error: a line is one JSON object, whatever it holds.

What an exception says is left out: it may hold SQL, an address or a secret.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from structlog.typing import EventDict

Context = Callable[[], Mapping[str, Any]]


def configure(level: str, context: Context = dict) -> None:
    """Logs from ``level`` on (debug, info, warning, error); libraries' own lines from warning on.

    ``context`` gives what each line is to say of the circumstances in which it is written.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_name_exceptions)
    handler.setFormatter(formatter(context))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("app").setLevel(level.upper())
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread


def formatter(context: Context) -> logging.Formatter:
    """Makes a line of a record."""

    def add_context(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {**event, **context()}

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", key="time"),
            _add_attributes,
            add_context,
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _tell_exception,
            structlog.processors.JSONRenderer(),  # in ASCII: no line break, no escape sequence gets through
        ]
    )


def _add_attributes(_logger: Any, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    return {**event, "level": record.levelname.lower(), "logger": record.name}


def _tell_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Of an exception its class, and where it was raised."""
    kind, _, at = event.pop("exc_info", None) or (None, None, None)
    return {**event, "exception": "".join(traceback.format_tb(at)) + kind.__name__} if kind else event


def _name_exceptions(record: logging.LogRecord) -> bool:
    """Of an exception within a message its class, too; libraries write some out."""
    if isinstance(record.args, tuple):
        record.args = tuple(type(each).__name__ if isinstance(each, BaseException) else each for each in record.args)
    return True


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """In place of Python's, which writes what the exception says."""
    name = ended.thread.name if ended.thread else "?"
    logging.getLogger(__name__).error("thread %s has ended", name, exc_info=ended.exc_value)
