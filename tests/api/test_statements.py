"""Statements per request, counted where they leave for the database."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from flask import Flask

from app.config import AuthProvider
from app.services.authenticate import Principals
from tests.api.client import FULL, Api, changed, forged
from tests.api.conftest import MakeApp, MakeKey, engine_of

Count = Callable[[], int]


class Counter:
    """The statements that an application has sent since it was last asked."""

    def __init__(self, app: Flask) -> None:
        self.statements: list[str] = []
        self.parameters = ""  # of those statements, all together
        sa.event.listen(engine_of(app), "before_cursor_execute", self._add)

    def _add(self, _: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        self.statements.append(statement)
        self.parameters += repr(parameters)

    def take(self) -> int:
        taken, self.statements, self.parameters = len(self.statements), [], ""
        return taken


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application that asks nobody for a credential, and keeps few observations."""
    return make_app(auth_provider=AuthProvider.NONE)


@pytest.fixture(scope="module")
def counter(app: Flask) -> Counter:
    counter = Counter(app)
    assert Api(app).get("/v0/pipelines").status_code == 200  # a first connection sends statements of its own
    assert counter.take() > 0
    return counter


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app)


@pytest.fixture
def pipeline() -> str:
    """A pipeline of the test's own, in the tenant that all of them share."""
    return f"/v0/pipelines/{uuid.uuid4().hex}"


@pytest.fixture
def connector(api: Api, counter: Counter, pipeline: str) -> str:
    """A connector at version 2, with a position, which has been observed just now."""
    connector = f"{pipeline}/tables/orders/connectors/billing"
    assert api.position(1, 1, 0, "run-1", connector).status_code == 201
    assert api.position(2, 1, 1, "run-1", connector).status_code == 204
    counter.take()
    return connector


def test_stats_are_read_in_one_statement(api: Api, counter: Counter, connector: str) -> None:
    assert api.stats(connector).status_code == 200
    assert counter.take() == 1
    assert api.stats(connector, headers={"If-None-Match": '"2"'}).status_code == 304
    assert counter.take() == 1
    assert api.stats(f"{connector}x").status_code == 404
    assert counter.take() == 1


def test_a_page_of_the_fleet_takes_one_statement(api: Api, counter: Counter, connector: str, pipeline: str) -> None:
    assert api.report({}, 0, f"{connector}-2").status_code == 201
    counter.take()
    url: str | None = f"?pipeline={pipeline.rpartition('/')[2]}&limit=1"
    for _ in range(2):
        response = api.get(f"/v0/connectors{url}")
        url = response.get_json()["next"]
        assert (response.status_code, counter.take()) == (200, 1)
    assert url is None
    assert api.get("/v0/connectors?limit=0").status_code == 400
    assert counter.take() == 0


def test_a_token_is_issued_in_one_statement_and_checked_in_one(
    api: Api, counter: Counter, connector: str, pipeline: str
) -> None:
    token = api.token(connector)
    assert counter.take() == 1
    assert api.check(token, pipeline).status_code == 202
    assert counter.take() == 1
    for version in (2, 3):
        api.position(2, 2, version, "run-1", connector)
    counter.take()
    assert api.check(token, pipeline).status_code == 200
    assert counter.take() == 1
    assert api.check("malformed", pipeline).status_code == 400
    assert counter.take() == 1


def test_a_token_is_explained_in_one_statement(api: Api, counter: Counter, connector: str) -> None:
    token = api.token(connector)
    counter.take()
    for status in ("inprogress", "inprogress", "complete"):
        assert api.get(f"/v0/completion_tokens/{token}").get_json()["status"] == status
        assert counter.take() == 1
        version = int(api.stats(connector).headers["ETag"].strip('"'))
        api.position(2, 2, version, "run-1", connector)
        counter.take()
    assert api.get(f"/v0/completion_tokens/{forged(token)}").status_code == 404
    assert counter.take() == 1
    assert api.get("/v0/completion_tokens/malformed").status_code == 400
    assert counter.take() == 0


def test_a_steady_report_takes_at_most_three_statements(api: Api, counter: Counter, connector: str) -> None:
    for version in range(2, 6):
        assert api.position(version + 1, version, version, "run-1", connector).status_code == 204
        assert 1 <= counter.take() <= 3


def test_a_connectors_first_report_takes_at_most_four(api: Api, counter: Counter, pipeline: str) -> None:
    for name in ("first-of-its-pipeline", "second"):
        assert api.report(FULL, 0, f"{pipeline}/tables/orders/connectors/{name}").status_code == 201
        assert 1 <= counter.take() <= 4


REPORTS: dict[str, tuple[Any, int | None, int]] = {
    "new epoch": (FULL | {"position": {"epoch": "run-2", "received": 0, "completed": 0}}, 2, 204),
    "with errors and events": (changed(FULL, "position", None), 2, 204),
    "status only": ({}, 2, 204),
    "synchronous": ({"recording": "synchronous"}, None, 204),
    "stale": ({}, 1, 412),
    "of a connector that should be new": ({}, 0, 412),
    "without a condition": ({}, None, 428),
    "regressed": ({"position": {"epoch": "run-1", "received": 1, "completed": 1}}, 2, 409),
    "invalid": ({"paused": 1}, 2, 422),
}


@pytest.mark.parametrize("kind", REPORTS)
def test_any_single_report_takes_at_most_four(api: Api, counter: Counter, connector: str, kind: str) -> None:
    body, if_match, status = REPORTS[kind]
    assert api.report(body, if_match, connector).status_code == status
    assert counter.take() <= {412: 1, 428: 1, 409: 1, 422: 0}.get(status, 4)


def test_an_engines_metadata_is_sent_once(api: Api, counter: Counter, connector: str) -> None:
    """It may be long, and of an observation it is not kept."""
    times = dict.fromkeys(("ingested_at", "processed_at", "completed_at"), "2026-01-31T12:00:00Z")
    body = {"paused": True, "completed_frontier": {"metadata": "offsets of all partitions", **times}}
    assert api.report(body, 2, connector).status_code == 204
    assert "INSERT INTO observation" in counter.statements[-1]
    assert counter.parameters.count("offsets of all partitions") == 1


def test_a_zombies_report_takes_at_most_four(api: Api, counter: Counter, connector: str) -> None:
    api.position(1, 1, 2, "run-2", connector)
    counter.take()
    assert api.position(3, 3, 3, "run-1", connector).status_code == 409
    assert 1 <= counter.take() <= 4


def test_a_report_that_restores_a_connector_takes_at_most_four(api: Api, counter: Counter, connector: str) -> None:
    api.remove(connector)
    assert 1 <= counter.take() <= 4
    assert api.position(1, 1, 0, "run-1", connector).status_code == 201
    assert 1 <= counter.take() <= 4


def test_a_batch_takes_no_more_statements_than_a_single_report(api: Api, counter: Counter, pipeline: str) -> None:
    names = [f"c{number}" for number in range(100)]
    for version in range(2):
        items = [{"table": "orders", "connector": name, "if_match": version, **FULL} for name in names]
        assert {each["status"] for each in api.batch(*items, pipeline=pipeline).get_json()} <= {201, 204}
        assert counter.take() <= 4


def test_probes_that_touch_nothing_send_nothing(api: Api, counter: Counter) -> None:
    for path in ("/healthz", "/v0/config", "/config/authentication", "/openapi.json", "/nothing"):
        api.get(path)
    assert counter.take() == 0


def test_an_api_key_costs_one_statement_more_every_two_seconds(
    make_app: MakeApp, make_key: MakeKey, tenant: str
) -> None:
    app, now = make_app(auth_provider=AuthProvider.API_KEY), [0.0]
    here = app.extensions["tidemark"]
    app.extensions["tidemark"] = replace(here, principals=Principals(clock=lambda: now[0]))
    api = Api(app, make_key(tenant=tenant), tenant)
    assert api.position(1, 1, 0).status_code == 201
    counter = Counter(app)
    for seconds, more in ((1.99, 0), (2.0, 1), (3.99, 0), (4.0, 1)):
        now[0] = seconds
        api.stats()
        assert counter.take() == 1 + more
        api.stats()
        assert counter.take() == 1
    token = api.token()
    assert counter.take() == 1
    api.check(token)
    assert counter.take() == 1
    api.get("/v0/config")
    assert counter.take() == 0


def test_any_number_of_tokens_is_checked_in_one(api: Api, counter: Counter, connector: str) -> None:
    tokens = [api.token(connector) for _ in range(3)] * 300
    counter.take()
    answer = api.request("POST", "/v0/completion_status", json={"tokens": tokens})
    assert (answer.status_code, len(answer.get_json()["tokens"])) == (202, 900)
    assert counter.take() == 1


def test_a_report_makes_no_schema_anew(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which would cost more than all the rest of it."""
    api.report(FULL, 0)
    made = []
    make = ma.Schema.__init__

    def counted(schema: ma.Schema, *arguments: Any, **options: Any) -> None:
        made.append(type(schema).__name__)
        make(schema, *arguments, **options)

    monkeypatch.setattr(ma.Schema, "__init__", counted)
    assert api.report(FULL, 1).status_code == 204
    assert made == []
