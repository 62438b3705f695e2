"""Which requests are written to the log, and what is written of them."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import EnvironBuilder

from app import logs
from app.api import request_log
from app.config import AuthProvider
from app.domain.roles import Role
from app.lean import LeanFlask
from tests.api.client import ORDERS, PIPELINE, STATS, Api
from tests.api.conftest import MakeApp
from tests.serving import free_port

ID = "0123456789abcdef0123456789abcdef"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Reads what has been written about requests."""
    log, written = logging.getLogger(request_log.__name__), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.formatter(request_log.context))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


def slow(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes every request for a slow one."""
    monkeypatch.setattr(app, "noted_from", 0.0)
    monkeypatch.setattr(request_log, "SLOW_SECONDS", 0.0)


def test_what_went_well_and_fast_is_not_written(api: Api, lines: Lines) -> None:
    api.position(1, 1, 0)
    assert [api.stats().status_code, api.issue().status_code, api.get("/v0/nothing").status_code] == [200, 200, 404]
    assert lines() == []


def test_at_debug_every_one_is_written_and_as_that(make_app: MakeApp, lines: Lines) -> None:
    app = make_app(auth_provider=AuthProvider.API_KEY)
    for path in ("/healthz", "/v0/nothing", STATS):
        app.test_client().get(path)
    told = [(line["level"], line["status"], line.get("route")) for line in lines()]
    stats = "/v0/pipelines/<pipeline>/tables/<table:table>/connectors/<connector>/stats"
    assert told == [("debug", 200, "/healthz"), ("debug", 404, None), ("debug", 401, stats)]


def test_a_slow_one_is_told_with_whose_it_is(
    make_api: Callable[..., Api], tenant: str, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api(Role.WRITE)
    slow(api.app, monkeypatch)
    api.get(STATS, headers={"X-Request-ID": ID}, query_string={"secret": "s3cret"})
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert 0 < line.pop("seconds") < 60
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "app.api.request_log",
        "request_id": ID,
        "tenant": tenant,
        "route": "/v0/pipelines/<pipeline>/tables/<table:table>/connectors/<connector>/stats",
        "method": "GET",
        "status": 400,  # there is no such parameter
        "client": "127.0.0.1",
    }


def test_who_asks_to_wait_is_not_slow(api: Api, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    api.position(1, 0, 0)
    token = api.token()
    slow(api.app, monkeypatch)
    api.get(f"{PIPELINE}/completion_status", query_string={"token": token, "wait": "0.01"})
    api.request("POST", "/v0/completion_status", json={"tokens": [token], "wait": 0.01})
    api.check(token)
    assert [line["level"] for line in lines()] == ["debug", "debug", "info"]


def test_one_that_failed_is_told_whatever_it_took(make_app: MakeApp, lines: Lines) -> None:
    logging.getLogger(request_log.__name__).setLevel(logging.INFO)
    cut_off = Api(make_app(database_url=f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing"))
    assert [cut_off.stats().status_code, cut_off.get("/healthz").status_code] == [503, 200]
    (line,) = lines()
    assert (line["level"], line["status"], line["tenant"]) == ("info", 503, "default")


def test_that_a_pipeline_is_stopped_is_no_failure(api: Api, lines: Lines) -> None:
    api.position(1, 1, 0)
    api.set_pipeline("Stopped")
    assert api.stats().status_code == 503
    assert [line["level"] for line in lines()] == ["debug"]


def test_a_defect_is_told_with_its_request(make_app: MakeApp, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()

    def fail() -> None:
        raise KeyError(request.headers["Authorization"])

    monkeypatch.setitem(app.view_functions, "service.healthz", fail)
    monkeypatch.setattr("app.api.errors.log", logging.getLogger(request_log.__name__))
    app.test_client().get("/healthz", headers={"X-Request-ID": ID, "Authorization": "s3cret"})
    defect, noted = lines()
    assert (defect["event"], defect["level"], defect["route"]) == ("unexpected error", "error", "/healthz")
    assert defect["exception"].endswith("KeyError")
    assert {line["request_id"] for line in (defect, noted)} == {ID}
    assert "s3cret" not in json.dumps([defect, noted])


def test_a_method_that_nobody_knows_is_not_written_out(api: Api, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(api.app, monkeypatch)
    api.request("S3CRET", ORDERS)
    assert lines()[0]["method"] is None


ADDRESSES = ["192.0.2.7", "2001:db8::1", "198.51.100.1"]
ENTRIES = st.lists(st.sampled_from([*ADDRESSES, "unknown", "", "s3cret"]), max_size=4)


@pytest.fixture(scope="module")
def behind(make_app: MakeApp) -> dict[int, LeanFlask]:
    """Applications behind so many proxies."""
    return {count: make_app(trusted_proxies=count) for count in range(3)}


@given(ENTRIES, st.integers(0, 2))
def test_of_those_who_sent_it_on_as_many_are_believed_as_are_proxies(
    behind: dict[int, LeanFlask], entries: list[str], proxies: int
) -> None:
    """As werkzeug's ProxyFix has it, wherever the entries are addresses."""
    header = {"HTTP_X_FORWARDED_FOR": ", ".join(entries)} if entries else {}
    environ = EnvironBuilder(environ_overrides={"REMOTE_ADDR": "127.0.0.1"} | header).get_environ()
    with behind[proxies].request_context(dict(environ)):
        found = request_log.client_address()
    fixed = ProxyFix(lambda environ, _: [environ["REMOTE_ADDR"].encode()], x_for=proxies, x_proto=0)
    believed = entries[-proxies] if 0 < proxies <= len(entries) and entries != [""] else "127.0.0.1"
    assert found == (believed if believed in (*ADDRESSES, "127.0.0.1") else None)
    if "" not in entries:
        assert fixed(environ, lambda *_: print) == [believed.encode()]
