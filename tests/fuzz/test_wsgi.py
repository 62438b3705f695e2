"""What a server hands on, however strange: never an error of the application's own, and nothing stays in memory."""

import gc
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from io import BytesIO
from unittest.mock import patch
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings

from app.api import query
from tests.fuzz.application import Subject, subject
from tests.fuzz.requests import environs

ROUNDS = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
MOST_GROWTH = 64 * 1024  # bytes in all later rounds together


@pytest.fixture(scope="module")
def fuzzed(database_url: str) -> Iterator[Subject]:
    """The application, in a tenant of its own."""
    with subject(database_url, "fuzz-wsgi") as made:
        yield made


def ask(app: Flask, environ: WSGIEnvironment) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the body of the answer."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    environ = {**environ, "wsgi.input": BytesIO(environ["body"])}
    body = app.wsgi_app(environ, lambda status, headers, *_: started.append((status, headers)))  # type: ignore[arg-type]
    try:
        content = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    ((status, headers),) = started
    return int(status[:3]), dict(headers), content


@settings(ROUNDS, max_examples=300)
@given(environ=environs())
def test_nothing_is_an_error_of_the_application(fuzzed: Subject, environ: WSGIEnvironment) -> None:
    judge(fuzzed.app, environ)


def judge(app: Flask, environ: WSGIEnvironment) -> None:
    status, headers, content = ask(app, environ)
    assert status != 500, content
    if status >= 400 and environ["REQUEST_METHOD"] != "HEAD":
        assert headers["Content-Type"] == "application/json"
        assert list(json.loads(content)) == ["message", "error_code", "details"]
    for name, value in headers.items():
        assert not set(f"{name}{value}") & set("\r\n\0"), (name, value)


def test_an_error_of_the_application_is_noticed(fuzzed: Subject) -> None:
    @settings(ROUNDS, max_examples=5000, phases=[Phase.generate])
    @given(environs())
    def look(environ: WSGIEnvironment) -> None:
        judge(fuzzed.app, environ)

    reading_what_may_be_no_text = patch.object(query, "check", lambda request, _: request.args)
    with reading_what_may_be_no_text, pytest.raises(AssertionError, match="InternalServerError"):
        look()


def test_memory_is_steady(fuzzed: Subject) -> None:
    assert growth(fuzzed.app) < MOST_GROWTH


def test_memory_that_is_not_given_back_is_noticed(fuzzed: Subject) -> None:
    kept: list[bytes] = []
    serve = fuzzed.app.wsgi_app

    def forgetful(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        kept.append(bytes(1000))
        return serve(environ, start_response)

    with patch.object(fuzzed.app, "wsgi_app", forgetful):
        assert growth(fuzzed.app) > MOST_GROWTH


def growth(app: Flask) -> int:
    """The bytes that are held, when the same requests have been answered again and again, beyond those at first."""
    asked: list[WSGIEnvironment] = []

    @settings(ROUNDS, max_examples=60, phases=[Phase.generate])
    @given(environs())
    def collect(environ: WSGIEnvironment) -> None:
        asked.append(environ)

    collect()
    tracemalloc.start()
    try:
        held = [_held_after(app, asked) for _ in range(5)]
    finally:
        tracemalloc.stop()
    return held[-1] - held[1]


def _held_after(app: Flask, asked: list[WSGIEnvironment]) -> int:
    for environ in asked:
        ask(app, environ)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    return held
