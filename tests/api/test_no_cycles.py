"""What goes well leaves no cycles of objects behind, for a worker seldom looks for any (app/worker.py)."""

import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import create_environ

from tests.api.client import ORDERS, PIPELINE, STATS, Api

TIMES = 20


class Bare:
    """Requests without werkzeug's client, which makes cycles itself."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.version = 1

    def ask(self, method: str, path: str, **given: Any) -> bytes:
        """The answer's body."""
        headers = self.api.headers | given.pop("headers", {})
        environ = create_environ(path, method=method, headers=headers, **given)
        statuses: list[str] = []
        start: Any = lambda status, headers: statuses.append(status)  # noqa: E731
        answer = self.api.app.wsgi_app(environ, start)
        body = b"".join(answer)
        getattr(answer, "close", lambda: None)()
        assert statuses[0].startswith("2"), body
        return body

    def stats(self) -> None:
        self.ask("GET", STATS)

    def issue(self) -> str:
        return str(json.loads(self.ask("GET", f"{ORDERS}/completion_token"))["token"])

    def check(self) -> None:
        self.ask("GET", f"{PIPELINE}/completion_status?token={self.issue()}")

    def wait(self) -> None:
        self.ask("GET", f"{PIPELINE}/completion_status?token={self.issue()}&wait=0.01")

    def report(self) -> None:
        position = {"position": {"received": 1, "completed": 1}}
        self.ask("PUT", STATS, json=position, headers={"If-Match": f'"{self.version}"'})
        self.version += 1


@pytest.fixture
def bare(api: Api) -> Iterator[Bare]:
    """With a connector; nothing is collected meanwhile but by the test."""
    api.position(1, 1, 0)
    gc.disable()
    yield Bare(api)
    gc.enable()


@pytest.mark.parametrize("request_of", [Bare.stats, Bare.issue, Bare.check, Bare.wait, Bare.report])
def test_nothing_is_left(bare: Bare, request_of: Callable[[Bare], object]) -> None:
    request_of(bare)  # the first one makes what stays
    gc.collect()
    for _ in range(TIMES):
        request_of(bare)
    assert gc.collect() < TIMES
