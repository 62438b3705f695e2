"""What caches are told: nothing is kept but where that is said here, whatever the route, its method and its answer."""

from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

import flask
import pytest
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from app.domain.roles import Role
from app.factory import _finish
from tests.api.client import ORDERS, PIPELINE, STATS, Api, forged
from tests.api.conftest import MakeApp
from tests.api.test_access import ROUTES, name_of, url_of
from tests.api.test_errors import TABLE

KEPT = {"connectors.read_stats", "fleet.list_connectors"}
"""Whose answers a client may keep, if it asks each time whether they still hold."""

FOR_NGINX = "stale-while-revalidate=1, stale-if-error=0"


def controls(response: Response | TestResponse) -> list[str]:
    """What the answer says to caches, clients' last; nginx passes the other line on, which allows them nothing."""
    assert "Expires" not in response.headers
    assert "Pragma" not in response.headers
    told = response.headers.getlist("Cache-Control")
    return told[1:] if told[0] == FOR_NGINX else told


def expected(endpoint: str, method: str, status: int) -> list[str]:
    if endpoint in KEPT and method in ("GET", "HEAD") and status in (200, 304):
        return ["private, no-cache"]
    return ["no-store"]


@pytest.mark.parametrize(("rule", "method"), [each for each in ROUTES if each[0].endpoint != "docs.show"], ids=name_of)
def test_every_route_says_what_may_be_kept_of_it(
    app: Flask, make_api: Callable[..., Api], rule: Rule, method: str
) -> None:
    """To nobody, to one who may too little, to one who names nothing that is there, and to one who does."""
    api = make_api()
    api.position(1, 1, 0)
    path = url_of(app, rule)
    found = path.replace("/pipelines/x/tables/x/connectors/x", "/pipelines/demo/tables/orders/connectors/billing")
    found = found.replace("/pipelines/x", PIPELINE.removeprefix("/v0"))
    body: Any = {} if method in ("PUT", "POST") else None
    for caller in (Api(app), make_api(Role.READ), api):
        for asked in (path, found):
            with caller.request(method, asked, json=body) as response:
                assert controls(response) == expected(rule.endpoint, method, response.status_code), response.status
                if response.status_code != 200:
                    assert "X-Accel-Expires" not in response.headers


@pytest.mark.parametrize("status", HTTPStatus)
def test_whatever_the_status_what_says_nothing_is_not_kept(app: Flask, status: int) -> None:
    assert _finish(flask.Response(status=status)).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("ask", [row[0] for row in TABLE])
def test_no_error_is_kept(api: Api, ask: Callable[[Api], TestResponse]) -> None:
    response = ask(api)
    assert response.status_code >= 400
    assert controls(response) == ["no-store"]
    assert not {"Last-Modified", "X-Accel-Expires"} & set(response.headers.keys())


def test_nor_is_a_defect(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    monkeypatch.setitem(app.view_functions, "service.healthz", lambda: 1 // 0)
    response = app.test_client().get("/healthz")
    assert (response.status_code, controls(response)) == (500, ["no-store"])


def secrets(api: Api) -> Iterator[TestResponse]:
    """Every answer that holds a token or a key, or what is only true for now."""
    api.position(1, 0, 0)
    token = api.token()
    yield api.issue()
    yield api.check(token)
    yield api.check(forged(token))
    yield api.request("POST", "/v0/completion_status", json={"tokens": [token]})
    yield api.get(f"/v0/completion_tokens/{token}")
    yield api.request("POST", "/v0/api_keys", json={"name": "ci"})
    yield api.get("/v0/api_keys")
    api.position(1, 1, 1)
    api.position(1, 1, 2)
    yield api.check(token)
    yield api.get("/v0/events", query_string={"token": token}, buffered=False)


def test_no_token_and_no_key_is_kept(api: Api) -> None:
    for response in secrets(api):
        assert controls(response) == ["no-store"], response.request.path
        response.close()


def test_stats_may_be_kept_if_asked_for_each_time(api: Api) -> None:
    api.position(1, 1, 0)
    get = partial(api.get, STATS)
    answers = [get(), api.request("HEAD", STATS), get(headers={"If-None-Match": '"1"'})]
    assert [answer.status_code for answer in answers] == [200, 200, 304]
    for answer in answers:
        assert controls(answer) == ["private, no-cache"]
        assert answer.headers["ETag"] == '"1"'
    assert controls(api.get(f"{ORDERS}x/stats")) == ["no-store"]


@pytest.mark.parametrize("path", ["/docs/swagger-ui.css", "/docs/favicon-32x32.png"])
def test_a_file_of_the_documentation_may_be_kept_if_asked_for_each_time(app: Flask, path: str) -> None:
    with app.test_client().get(path) as response:
        assert controls(response) == ["no-cache"]
        tag = response.headers["ETag"]
    with app.test_client().get(path, headers={"If-None-Match": tag}) as again:
        assert (again.status_code, controls(again)) == (304, ["no-cache"])


@pytest.mark.parametrize(("path", "status"), [("/docs/", 200), ("/docs", 308), ("/docs/none.css", 404)])
def test_its_page_is_not_kept(app: Flask, path: str, status: int) -> None:
    response = app.test_client().get(path)
    assert (response.status_code, controls(response)) == (status, ["no-store"])
