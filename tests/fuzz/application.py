"""The application under test, on a database of its own, with a key of every role, and with nothing that lasts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from unittest.mock import patch
from wsgiref.types import StartResponse, WSGIEnvironment

from sqlalchemy import Engine

from app.api import tokens
from app.api.waiting import wait_request
from app.config import AuthProvider, Config
from app.domain.roles import Role
from app.domain.waiting import Until
from app.factory import create_app
from app.lean import LeanFlask
from app.services.wait import WaitRequest
from app.store.engine import make_engine
from tests.api.client import PIPELINE, Api
from tests.tenants import add_key

NOBODY = "none"
CREDENTIALS = (*(role.value for role in Role), NOBODY)

_WAIT_SECONDS = 0.01


@dataclass
class Subject:
    """The application, and what is needed to ask it and to judge the asking.

    Nobody waits for long, a stream of events ends soon, and of a credential it is enough to name the role: who revokes
    his own key is given another.
    """

    app: LeanFlask
    engine: Engine
    tenant: str
    blocks: int  # of a stream of events that are read; there is always a first, at once
    tokens: list[str] = field(default_factory=list)  # complete, in progress, lost, of a connector that was removed
    answered: Counter[int] = field(default_factory=Counter)  # by the status
    _keys: dict[str, str] = field(default_factory=dict)  # by the role

    @property
    def requests(self) -> int:
        """How many it has answered."""
        return self.answered.total()

    def headers(self, credential: str) -> dict[str, str]:
        """What a request with the credential, which is a role or NOBODY, is sent with."""
        return {} if credential == NOBODY else {"Authorization": f"Bearer {credential}"}

    def serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The application's answer: a WSGI application itself."""
        role = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        if role not in CREDENTIALS or role == NOBODY:
            return self._answer(environ, start_response)
        body = self._with_key(role, environ, start_response)
        if body is None:  # its key was revoked
            del self._keys[role]
            body = self._with_key(role, environ, start_response)
        assert body is not None, "a key that was made a moment ago is refused"
        return body

    def _with_key(self, role: str, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes] | None:
        if role not in self._keys:
            self._keys[role] = self._new_key(Role(role))
        refused: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            if status.startswith("401"):
                refused.append(status)
                return lambda _: None
            return start_response(status, headers, *rest)

        body = self._answer({**environ, "HTTP_AUTHORIZATION": f"Bearer {self._keys[role]}"}, start)
        return None if refused else body

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        types: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            self.answered[int(status[:3])] += 1
            types.extend(value for name, value in headers if name.lower() == "content-type")
            return start_response(status, headers, *rest)

        body = LeanFlask.wsgi_app(self.app, environ, start)
        return _first_of(body, self.blocks) if "text/event-stream" in "".join(types) else body

    def _new_key(self, role: Role) -> str:
        with self.engine.begin() as connection:
            return add_key(connection, self.tenant, role, f"{role.value}-{self.requests}")


@contextmanager
def subject(database_url: str, tenant: str = "fuzz", blocks: int = 1) -> Iterator[Subject]:
    """The application on that database, with keys of a tenant that has nothing in it yet."""
    app = create_app(Config(database_url=database_url, auth_provider=AuthProvider.API_KEY))
    made = Subject(app, make_engine(database_url), tenant, blocks)
    app.wsgi_app = made.serve  # type: ignore[method-assign]  # as Flask documents
    try:
        with patch.object(tokens, "wait_request", _hurried):
            made.tokens += _tokens(Api(app, Role.ADMIN.value))
            yield made
    finally:
        app.on_stop()
        for engine in (made.engine, app.extensions["tidemark"].engine):
            engine.dispose()


def _hurried(seconds: float, until: Until = Until.ALL) -> WaitRequest:
    return wait_request(min(seconds, _WAIT_SECONDS), until)


def _tokens(api: Api) -> list[str]:
    tables = f"{PIPELINE}/tables/orders/connectors"
    complete, waiting, lost, removed = (f"{tables}/{name}" for name in ("billing", "audit", "lost", "removed"))
    for connector in (complete, waiting, lost, removed):
        position = {"epoch": "a", "received": 5, "completed": 5}
        api.report({"position": position, "recording": "synchronous"}, 0, connector)
        api.position(9, 5, 1, "a", connector)
    issued = [api.token(connector) for connector in (complete, waiting, lost, removed)]
    for version in (2, 3):
        api.position(9, 9, version, "a", complete)
    api.position(1, 0, 2, "b", lost)
    api.remove(removed)
    return issued


def _first_of(body: Iterable[bytes], blocks: int) -> Iterator[bytes]:
    try:
        yield from islice(body, blocks)
    finally:
        if hasattr(body, "close"):
            body.close()
