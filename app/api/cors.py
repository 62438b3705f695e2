"""Cross-origin requests: which pages, of other origins, a browser may let use this API. None, unless configured.

Credentials are in a header, which a page has to know; there are no cookies that a browser would send by itself.
"""

from collections.abc import Callable, Iterable
from typing import Any

_METHODS = "GET, HEAD, POST, PUT, DELETE"
_REQUEST_HEADERS = "Authorization, Content-Type, Feldera-Tenant, If-Match, If-None-Match, Last-Event-ID, Prefer"
_ANSWER_HEADERS = "ETag, Link, Preference-Applied, Retry-After, WWW-Authenticate, X-Request-ID"
_ASKED_AGAIN_SECONDS = "600"  # browsers keep an answer to a preflight for so long

_VARIES = ("Vary", "Origin")  # for caches, nginx's too

Application = Callable[..., Iterable[bytes]]


def allowing(origins: Iterable[str], application: Application) -> Application:
    """The application, whose answers pages of these origins may read."""
    allowed = frozenset(origins)

    def allowing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        headers = [_VARIES]
        if origin in allowed:
            headers += [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", _ANSWER_HEADERS)]
            if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
                start_response("204 No Content", [*headers, *_PREFLIGHT])
                return []

        def start(status: str, own: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*own, *headers], *error)

        return application(environ, start)

    return allowing


_PREFLIGHT = (
    ("Access-Control-Allow-Methods", _METHODS),
    ("Access-Control-Allow-Headers", _REQUEST_HEADERS),
    ("Access-Control-Max-Age", _ASKED_AGAIN_SECONDS),
    ("Cache-Control", "no-store"),
)
