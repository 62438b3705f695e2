"""What is written to the log of requests. nginx keeps the access log; here stands what it cannot know.

A line for each that the server has failed and for each that took long, and at LOG_LEVEL=debug for every one. None has a
path, a query, a header or a body in it: they hold tokens, keys, and whatever else a client sends. That a pipeline is
recorded as stopped is 503, but no failure, and its clients may ask for as long as they like.
"""

import ipaddress
import logging
from collections.abc import Mapping
from typing import Any

from flask import Response, g, has_request_context, request

from app.api import runtime
from app.lean import LeanFlask

SLOW_SECONDS = 1.0

_log = logging.getLogger(__name__)
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


def register(app: LeanFlask) -> None:
    """Writes the application's. Call it when logging is configured: for requests of no interest nothing is done."""
    app.note = _note
    app.noted_from = 0.0 if _log.isEnabledFor(logging.DEBUG) else SLOW_SECONDS


def context() -> Mapping[str, Any]:
    """What a line says of the request during which it is written."""
    if not has_request_context():
        return {}
    known = {
        "request_id": request.environ.get("HTTP_X_REQUEST_ID"),
        "tenant": g.principal.tenant if "principal" in g else None,
        "route": request.url_rule.rule if request.url_rule else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def client_address() -> str | None:
    """Where the request comes from: the entry in X-Forwarded-For that the outermost of TRUSTED_PROXIES has made.

    What stands before that, anybody may have written. None where it is no address.
    """
    proxies = runtime.current().config.trusted_proxies
    header = request.headers.get("X-Forwarded-For")
    entries = header.split(",") if header else []
    told = entries[-proxies] if 0 < proxies <= len(entries) else request.environ.get("REMOTE_ADDR", "")
    try:
        return str(ipaddress.ip_address(told.strip()))
    except ValueError:
        return None


def waits() -> None:
    """Says of the current request that it takes as long as its client wants it to."""
    g.waits = True


def _note(response: Response, seconds: float) -> None:
    failed = response.status_code >= 500 and g.get("failed", True)
    level = logging.INFO if failed or (seconds >= SLOW_SECONDS and "waits" not in g) else logging.DEBUG
    told = {
        "method": request.method if request.method in _METHODS else None,
        "status": response.status_code,
        "seconds": round(seconds, 6),
        "client": client_address(),
    }
    _log.log(level, "request", extra=told)
