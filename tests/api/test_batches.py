"""Reports in batches: an answer per item, in order; each is accepted or refused for itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from app.domain.errors import ServiceUnavailable
from app.store.engine import transact
from tests.api.client import FULL, ORDERS, PIPELINE, REPORTS, Api, refused
from tests.api.conftest import Unchanged

ITEM = {"table": "orders", "connector": "billing", "if_match": 0}


def item(connector: str, if_match: int | None = 0, **fields: Any) -> dict[str, Any]:
    """A report to a connector of the table orders; None leaves if_match out."""
    condition = {} if if_match is None else {"if_match": if_match}
    return {"table": "orders", "connector": connector, **condition, **fields}


def at(received: Any, completed: Any = None, **epoch: str) -> dict[str, Any]:
    """The field position of a report."""
    return {"position": {"received": received, "completed": completed, **epoch}}


@pytest.fixture
def api(api: Api) -> Api:
    """A client whose tenant has a connector at version 1."""
    assert api.report(FULL, 0).status_code == 201
    return api


def test_each_report_is_answered_for_itself_in_order(api: Api) -> None:
    api.batch(item("rewinder", **at(9)), item("zombie", **at(1, epoch="a")), item("sync"))
    api.batch(item("zombie", 1, **at(1, epoch="b")))
    answers = api.batch(
        item("new"),
        item("billing", 1),
        item("unconditional", None),
        item("stale", 7),
        item("rewinder", 1, **at(8)),
        item("zombie", 2, **at(2, epoch="a")),
        item("bad name"),
        item("bad field", paused=1),
        item("sync", None, recording="synchronous"),
    )
    assert (answers.status_code, answers.content_type) == (200, "application/json")
    results = answers.get_json()
    assert [(each["connector"], each["status"], each.get("version"), each.get("error_code")) for each in results] == [
        ("new", 201, 1, None),
        ("billing", 204, 2, None),
        ("unconditional", 428, None, "PreconditionRequired"),
        ("stale", 412, None, "PreconditionFailed"),
        ("rewinder", 409, None, "PositionRegressed"),
        ("zombie", 409, None, "EpochSuperseded"),
        ("bad name", 422, None, "InvalidReport"),
        ("bad field", 422, None, "InvalidReport"),
        ("sync", 204, 2, None),
    ]
    assert list(results[0]) == ["table", "connector", "status", "version"]
    assert all(
        list(each) == ["table", "connector", "status", "message", "error_code", "details"]
        for each in results
        if "error_code" in each
    )
    assert results[3]["details"] == {"current_version": 0}
    assert results[7]["details"].keys() == {"connector", "paused"}


def test_what_is_accepted_is_what_a_single_report_would_have_recorded(api: Api) -> None:
    api.batch(item("batched", **FULL))
    batched = api.stats(f"{PIPELINE}/tables/orders/connectors/batched").get_json()
    single = api.stats().get_json()
    for document in (batched, single):
        del document["recorded"]["recorded_at"]
    assert batched == single | {"endpoint_name": "orders.batched"}


def test_a_batch_makes_its_pipeline_known_with_its_first_accepted_report(api: Api) -> None:
    fresh = "/v0/pipelines/fresh"
    assert api.batch(item("billing", 5), pipeline=fresh).get_json()[0]["status"] == 412
    refused(api.get(fresh), 404, "UnknownPipelineName")
    assert api.batch(item("billing"), pipeline=fresh).get_json()[0]["status"] == 201
    assert api.get(fresh).get_json()["deployment_status"] == "Running"


def test_the_table_is_answered_as_it_was_named_and_recorded_under_its_canonical_name(api: Api) -> None:
    (answer,) = api.batch({"table": "ORDERS", "connector": "billing", "if_match": 1}).get_json()
    assert (answer["table"], answer["version"]) == ("ORDERS", 2)
    assert api.stats().headers["ETag"] == '"2"'


@pytest.mark.parametrize("twin", [{}, {"table": "ORDERS"}, {"table": '"orders"'}, {"if_match": 2}])
def test_a_connector_named_twice_counts_once(api: Api, twin: dict[str, Any]) -> None:
    first, second = api.batch(item("billing", 1), item("billing", 1) | twin).get_json()
    assert (first["status"], second["status"]) == (204, 422)
    assert second["details"] == {"connector": ["is named twice in this batch"]}
    assert api.stats().headers["ETag"] == '"2"'


def test_a_bad_report_does_not_take_the_place_of_a_good_one_to_the_same_connector(api: Api) -> None:
    first, second = api.batch(item("billing", 1, paused=1), item("billing", 1)).get_json()
    assert (first["status"], second["status"]) == (422, 204)


def test_an_empty_batch_is_answered_by_an_empty_array(api: Api, unchanged: Unchanged) -> None:
    with unchanged():
        assert api.batch().get_json() == []


@pytest.mark.parametrize("body", [None, {}, "x", 7, True, ITEM, [None], [[ITEM]], ["x"], [ITEM, 7], [ITEM] * 1001])
def test_what_is_no_array_of_at_most_1000_objects_is_refused_whole(api: Api, unchanged: Unchanged, body: Any) -> None:
    with unchanged():
        response = api.request("POST", REPORTS, data=json.dumps(body), content_type="application/json")
        refused(response, 422, "InvalidReport")


def test_a_thousand_reports_are_accepted(api: Api) -> None:
    answers = api.batch(*(item(f"c{number}", **at(number)) for number in range(1000))).get_json()
    assert [answer["status"] for answer in answers] == [201] * 1000
    answers = api.batch(*(item(f"c{number}", 1, **at(number)) for number in reversed(range(1000)))).get_json()
    assert [answer["version"] for answer in answers] == [2] * 1000


BAD: dict[str, list[Any]] = {
    "table": [None, 7, True, [], {}, "", '""', "a\n", "a\x7f", "\N{REPLACEMENT CHARACTER}", "x" * 256, "a\x85"],
    "connector": [None, 7, True, [], {}, "", "a b", "ü", "a/b", '"a"', "a\n", "x" * 256],
    "if_match": [None, True, "0", '"0"', 0.0, -1, 2**63, [], {}, "*"],
    "unknown": [None, 1],
    "position": [7, [], {}],
    "metrics": [None, [], {"total_bytes": -1}],
}


@pytest.mark.parametrize("field", BAD)
def test_a_bad_field_of_an_item_is_refused_by_name_and_nothing_is_recorded(
    api: Api, unchanged: Unchanged, field: str
) -> None:
    with unchanged():
        answers = api.batch(*(item("other") | {field: value} for value in BAD[field])).get_json()
    for answer in answers:
        assert (answer["status"], answer["error_code"]) == (422, "InvalidReport"), answer
        assert list(answer["details"]) == [field], answer
        assert field in answer["message"]


@pytest.mark.parametrize("field", ["table", "connector"])
def test_a_missing_address_is_refused_by_name(api: Api, unchanged: Unchanged, field: str) -> None:
    with unchanged():
        (answer,) = api.batch({name: value for name, value in ITEM.items() if name != field}).get_json()
    assert (answer["status"], answer[field], list(answer["details"])) == (422, None, [field])


def test_if_match_as_a_header_is_no_condition_of_a_batch(api: Api, unchanged: Unchanged) -> None:
    with unchanged():
        response = api.request("POST", REPORTS, json=[item("billing", None)], headers={"If-Match": '"1"'})
    assert [answer["status"] for answer in response.get_json()] == [428]


def test_a_removed_connector_comes_back_in_a_batch(api: Api) -> None:
    api.remove()
    first, second = (api.batch(item("billing", if_match)).get_json()[0] for if_match in (1, 0))
    assert (first["status"], first["details"]) == (412, {"current_version": 0})
    assert (second["status"], second["version"]) == (201, 2)
    assert api.stats(ORDERS).status_code == 200


def test_a_database_that_goes_away_in_the_middle_is_the_answer_to_the_rest(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reports before are recorded, and the next attempt learns so from their 412."""
    calls = 0

    def failing(engine: sa.Engine, work: Callable[[sa.Connection], Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ServiceUnavailable
        return transact(engine, work)

    monkeypatch.setattr("app.api.reports._TRANSACTION", 2)
    monkeypatch.setattr("app.api.reports.transact", failing)
    items = [item(f"c{n}") for n in range(5)]
    answers = api.batch(*items).get_json()
    assert [answer["status"] for answer in answers] == [201, 201, 503, 503, 503]
    assert answers[2]["error_code"] == "ServiceUnavailable"
    assert [answer["status"] for answer in api.batch(*items).get_json()] == [412, 412, 201, 201, 201]
