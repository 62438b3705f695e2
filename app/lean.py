"""Flask, quicker at what a service does thousands of times a second, and without what none of its views needs."""

import logging
import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from flask import Flask, Request, Response
from werkzeug.exceptions import SecurityError
from werkzeug.routing import MapAdapter, PathConverter, RequestRedirect, Rule

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_MOST_ROUTES = 30_000  # remembered paths: about 500 bytes each
_LONGEST_PATH = 200
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?", re.ASCII)  # its name or address, and its port

_log = logging.getLogger(__name__)

Match = tuple[Rule, Mapping[str, Any]]


class TableConverter(PathConverter):
    """A part of a path that may hold slashes, as werkzeug's, and line feeds, too: whoever has it refuses those."""

    regex = "[^/](?s:.*?)"


class LeanResponse(Response):
    """Flask's response. One that is bytes with a length goes out as it is: there is nothing to be computed of it."""

    def get_wsgi_response(self, environ: "WSGIEnvironment") -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        """As werkzeug's."""
        body = self.response
        if self.status_code != 200 or type(body) is not list or "Content-Length" not in self.headers or self._on_close:
            return super().get_wsgi_response(environ)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body, self.status, self.headers.to_wsgi_list()


class LeanFlask(Flask):
    """Flask, but no view is a coroutine function, nobody waits for its signals, and a path routed once is remembered.

    Clients poll the same few paths all the time; and the rules are all there before the first request. What is checked
    of a request's host when it is routed, is checked of the first request for a path at that host only.
    """

    response_class = LeanResponse

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._matches: dict[tuple[str, str, str | None], Match] = {}
        self.trusted_hosts: frozenset[str] | None = None  # the hosts' names that requests may be for; None: any
        self.at_any_host: frozenset[str] = frozenset()  # paths for which that does not matter
        self.note: Callable[[Response, float], None] = lambda response, seconds: None
        self.noted_from = math.inf  # seconds: how long a request must have taken to be noted; a failed one always is
        self.on_stop: Callable[[], None] = lambda: None  # called when the process is to end: see app/worker.py

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself; looking at it costs ten calls a request."""
        return func

    def full_dispatch_request(self) -> Response:
        """As Flask's."""
        began = time.monotonic()
        self._got_first_request = True
        try:
            answer = self.preprocess_request()
            if answer is None:
                answer = self.dispatch_request()
        except Exception as error:
            answer = self.handle_user_exception(error)
        response = self.process_response(self.make_response(answer))
        seconds = time.monotonic() - began
        if seconds >= self.noted_from or response.status_code >= 500:
            self.note(response, seconds)
        return response

    def log_exception(self, exc_info: Any) -> None:
        """Flask's own would write the path, which may hold a token."""
        _log.error("unexpected error", exc_info=exc_info)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """As Flask's, as far as the context of a request makes use of it."""
        if request is None:
            return super().create_url_adapter(None)
        return cast("MapAdapter", _Remembering(request, self))

    def adapter(self, request: Request) -> MapAdapter:
        """Flask's own."""
        return cast("MapAdapter", super().create_url_adapter(request))

    def match(self, request: Request) -> Match:
        """The rule for the request and its arguments; raises werkzeug's HTTPException for none."""
        key = request.method, request.path, request.environ.get("HTTP_HOST")
        rule, arguments = self._matches.get(key) or self._route(key, request)
        return rule, dict(arguments)

    def _route(self, key: tuple[str, str, str | None], request: Request) -> Match:
        if self.trusted_hosts is not None and request.path not in self.at_any_host:
            self._check_host(key[2] or "", self.trusted_hosts)
        try:
            match: Match = self.adapter(request).match(return_rule=True)
        except RequestRedirect as redirect:  # to a place here, by whatever name and scheme the client knows this server
            redirect.new_url = urlsplit(redirect.new_url)._replace(scheme="", netloc="").geturl()
            raise
        if len(self._matches) >= _MOST_ROUTES:
            self._matches.clear()
        if len(request.path) <= _LONGEST_PATH:
            self._matches[_shared(key)] = match[0], dict(zip(match[1], _shared(match[1].values()), strict=True))
        return match

    @staticmethod
    def _check_host(host: str, trusted: frozenset[str]) -> None:
        found = _HOST.fullmatch(host.lower())
        if found is None or found[1] not in trusted:
            raise SecurityError("This server does not answer for that host; TRUSTED_HOSTS says for which it does")


def _shared(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values, of which equal texts are one object: thousands of paths have the same method, host and pipeline."""
    return tuple(sys.intern(value) if isinstance(value, str) else value for value in values)


class _Remembering:
    """Stands for a request's URL adapter, which is only made where its path is new, or for what nobody does often."""

    def __init__(self, request: Request, app: LeanFlask) -> None:
        self._request, self._app = request, app

    def match(self, *, return_rule: bool) -> Match:
        return self._app.match(self._request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app.adapter(self._request), name)
