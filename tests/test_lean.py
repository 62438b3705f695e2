"""Flask made leaner answers as Flask does."""

from typing import Any

import pytest
from flask import Flask, Response, request, url_for

from app.lean import LeanFlask


def build(kind: type[Flask]) -> Flask:
    app = kind(__name__, static_folder=None)

    @app.route("/things/<int:number>/<path:rest>", methods=["GET", "PUT"])
    def thing(number: int, rest: str) -> Any:
        arguments = request.view_args
        assert arguments is not None
        arguments["number"] = -1  # nobody else's business
        return Response(f"{request.method} {number} {rest} {request.url_rule} {request.endpoint}", headers={"X-A": "b"})

    @app.route("/streamed")
    def streamed() -> Any:
        return Response(iter([b"a", b"b"]))

    @app.route("/folder/")
    def folder() -> Any:
        return {"url": url_for("thing", number=1, rest="x")}

    @app.route("/empty", methods=["DELETE"])
    def empty() -> Any:
        return Response(status=204)

    return app


REQUESTS = [
    ("GET", "/things/7/a/b%2Fc"),
    ("HEAD", "/things/7/a/b%2Fc"),
    ("PUT", "/things/7/a/b%2Fc"),
    ("POST", "/things/7/a/b%2Fc"),
    ("OPTIONS", "/things/7/a/b%2Fc"),
    ("GET", "/things/seven/a"),
    ("GET", "/things/8/" + "long/" * 200),
    ("GET", "/streamed"),
    ("HEAD", "/streamed"),
    ("GET", "/folder/"),
    ("DELETE", "/empty"),
    ("GET", "/nothing"),
]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_the_first_time_and_the_second(method: str, path: str) -> None:
    plain, lean = build(Flask).test_client(), build(LeanFlask).test_client()
    expected = plain.open(path, method=method)
    for _ in range(2):
        answer = lean.open(path, method=method)
        assert (answer.status, answer.get_data()) == (expected.status, expected.get_data())
        assert sorted(answer.headers) == sorted(expected.headers)


def test_but_a_redirect_names_no_host() -> None:
    answer = build(LeanFlask).test_client().get("/folder?a=b")
    assert (answer.status_code, answer.headers["Location"]) == (308, "/folder/?a=b")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.lean._MOST_ROUTES", 5)
    app = build(LeanFlask)
    assert isinstance(app, LeanFlask)
    for number in range(20):
        assert app.test_client().get(f"/things/{number}/x").get_data().startswith(f"GET {number} x".encode())
        assert len(app._matches) <= 5
    app.test_client().get("/things/1/" + "long/" * 200)
    assert all(len(path) < 600 for _, path, _ in app._matches)
