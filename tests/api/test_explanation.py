"""What is told of a token: whether it is bound, what is missing, why it never completes."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from time import sleep

import pytest
from flask import Flask

from app.config import AuthProvider
from app.domain.frontier import MAX_CHECKPOINTS
from app.domain.position import MAX_COMPONENTS
from app.domain.roles import Role
from tests.api.client import Api, forged, refused
from tests.api.conftest import MakeApp, MakeKey, PassTime
from tests.api.explaining import ask, explained, held, time, waiting

# Bound, or not yet.


def test_a_token_tells_who_issued_it_when_and_for_what(
    app: Flask, make_key: MakeKey, make_api: Callable[..., Api], tenant: str
) -> None:
    api = Api(app, make_key(Role.WRITE, tenant, "nightly-job"), tenant)
    api.position(10, 5, 0, "run-1")
    before = time(api.stats().get_json()["recorded"]["recorded_at"])
    token = api.token()
    document = explained(make_api(Role.READ), token)
    assert before <= time(document.pop("issued_at")) <= before + timedelta(minutes=1)
    assert document.pop("holding_back")
    assert document == {
        "token": token,
        "status": "inprogress",
        "reason": "2 further reports are needed to bind it to a position.",
        "error": None,
        "pipeline": "demo",
        "table": "orders",
        "connector": "billing",
        "issued_by": "nightly-job",
        "epoch": "run-1",
        "epoch_number": 1,
        "version": 1,
        "completed_version": 0,
        "binding": 3,
        "bound": False,
        "bound_version": None,
        "completed_after": None,
        "completed_by": None,
    }


def test_a_token_is_bound_by_the_second_report_after_it(api: Api) -> None:
    api.position(10, 5, 0)
    token = api.token()
    for version, reports in ((1, 2), (2, 1)):
        holding = held(api, token)
        assert (holding["reports"], holding["missing_records"], holding["waiting_since"]) == (reports, None, None)
        assert (holding["components"], holding["lag_seconds"], holding["eta"]) == ([], None, None)
        api.position(10 + version, 5, version)
    document, holding = explained(api, token), held(api, token)
    assert (document["bound"], document["bound_version"]) == (True, 3)
    assert (holding["reports"], holding["missing_records"]) == (0, 7)
    assert holding["components"] == [{"component": None, "needed": 12, "reached": 5, "missing": 7}]


def test_a_report_of_status_only_binds_nothing(api: Api) -> None:
    api.position(10, 5, 0)
    token = api.token()
    for version in (1, 2, 3):
        api.report({}, version)
    document = explained(api, token)
    assert (document["version"], document["binding"], document["bound"]) == (4, 3, False)
    assert document["holding_back"]["reports"] == 1
    api.position(10, 5, 4)
    assert (explained(api, token)["bound_version"], held(api, token)["reports"]) == (5, 0)


def test_a_synchronous_token_is_bound_by_the_position_recorded_last(api: Api) -> None:
    position = {"recording": "synchronous", "position": {"received": 10, "completed": 4}}
    api.report(position, None)
    api.report({"recording": "synchronous"}, None)
    token = api.token()
    document = explained(api, token)
    assert (document["version"], document["binding"], document["bound"], document["bound_version"]) == (2, 1, True, 1)
    assert document["holding_back"]["missing_records"] == 6


def test_reports_that_receive_nothing_more_move_the_version_and_not_the_time(api: Api, pass_time: PassTime) -> None:
    token = waiting(api)
    pass_time(30)
    api.position(100, 40, 3)
    document = explained(api, token)
    assert (document["binding"], document["bound_version"]) == (3, 4)
    holding = document["holding_back"]
    assert holding["lag_seconds"] > 30
    assert time(holding["recorded_at"]) - time(holding["waiting_since"]) > timedelta(seconds=30)


def test_a_token_whose_checkpoint_was_thinned_out_waits_for_a_newer_one(api: Api) -> None:
    tokens = []
    for version in range(MAX_CHECKPOINTS + 20):
        api.position(10 * version + 10, 0, version)
        tokens.append(api.token())
    later = 0
    for token in tokens[:-2]:
        document = explained(api, token)
        (component,) = document["holding_back"]["components"]
        assert component["needed"] == 10 * document["bound_version"]
        assert document["bound_version"] >= document["binding"]
        later += document["bound_version"] > document["binding"]
    assert later >= 20 - 1, "as many as were thinned out, but for version 2, to which no token is bound"


# What is missing.


def test_each_component_is_told_and_one_nobody_knows_of_comes_first(api: Api) -> None:
    received, completed = {"a": 10, "b": 20, "c": 0, "d": 5, "e": 7}, {"a": 4, "b": 19, "e": 9, "x": 1}
    holding = held(api, waiting(api, received=received, completed=completed))
    assert holding["components"] == [
        {"component": "d", "needed": 5, "reached": None, "missing": None},
        {"component": "a", "needed": 10, "reached": 4, "missing": 6},
        {"component": "b", "needed": 20, "reached": 19, "missing": 1},
    ]
    assert (holding["missing_records"], holding["more_components"], holding["eta"]) == (None, 0, None)


def test_only_the_worst_twenty_components_are_told_and_all_are_counted(api: Api) -> None:
    received = {str(n): n for n in range(MAX_COMPONENTS)}
    holding = held(api, waiting(api, received=received, completed=dict.fromkeys(received, 0)))
    assert [each["missing"] for each in holding["components"]] == [MAX_COMPONENTS - 1 - n for n in range(20)]
    assert holding["more_components"] == MAX_COMPONENTS - 1 - 20, "nothing came in on component 0"
    assert holding["missing_records"] == sum(range(MAX_COMPONENTS))


def test_offsets_as_great_as_there_are_add_up(api: Api) -> None:
    most = 2**63 - 1
    holding = held(api, waiting(api, received={"a": most, "b": most}, completed={"a": 0, "b": 0}))
    assert holding["missing_records"] == 2 * most


def test_nothing_is_made_of_a_completed_position_that_nobody_knows(api: Api) -> None:
    document = explained(api, waiting(api, completed=None))
    holding = document["holding_back"]
    assert holding["components"] == [{"component": None, "needed": 100, "reached": None, "missing": None}]
    assert (holding["missing_records"], holding["rate"], holding["eta"]) == (None, None, None)
    assert holding["progress"] == "unknown"


# Lost, and refused.


def test_a_token_lost_with_its_epoch_is_explained(api: Api) -> None:
    api.position(10, 5, 0, "run-1")
    token = api.token()
    api.position(0, 0, 1, "run-2")
    document = explained(api, token)
    assert (document["status"], document["bound"], document["holding_back"]) == ("lost", None, None)
    assert document["error"]["error_code"] == "PipelineRestarted"
    assert document["error"]["details"] == {"token_epoch": 1, "current_epoch": 2}
    assert document["reason"] == document["error"]["message"]
    assert (document["completed_after"], document["completed_by"]) == (None, None)


def test_a_token_of_a_removed_connector_is_explained(api: Api) -> None:
    token = waiting(api)
    api.remove()
    document = explained(api, token)
    assert (document["status"], document["error"]["error_code"]) == ("lost", "UnknownEndpointInCompletionToken")
    assert (document["table"], document["connector"]) == ("orders", "billing")


def test_an_unknown_token_and_one_of_another_tenant_get_the_same_bytes(api: Api, make_api: Callable[..., Api]) -> None:
    token = waiting(api)
    answers = [ask(api, forged(token)), ask(make_api(tenant=uuid.uuid4().hex), token)]
    refused(answers[0], 404, "UnknownCompletionToken")
    assert len({(each.status_code, each.get_data(), str(each.headers)) for each in answers}) == 1
    assert answers[0].get_data() == api.check(forged(token)).get_data()


@pytest.mark.parametrize("token", ["x", "ct1_", "ct1_" + "a" * 52, "ct2_" + "a" * 52, "ü", "%00", "' OR 1=1"])
def test_what_is_no_token_is_refused(api: Api, token: str) -> None:
    details = refused(ask(api, token), 400, "InvalidParam")["details"]
    assert details == {"error": "token: not a completion token"}


def test_a_token_past_its_retention_is_gone_with_its_row_or_without(
    make_app: MakeApp, make_key: MakeKey, tenant: str
) -> None:
    app = make_app(auth_provider=AuthProvider.API_KEY, token_retention=timedelta(seconds=0.02))
    api = Api(app, make_key(tenant=tenant), tenant)
    api.position(0, 0, 0)
    token = api.token()
    sleep(0.03)
    with_row, without_row = ask(api, token), ask(api, forged(token))
    refused(with_row, 410, "CompletionTokenExpired")
    assert without_row.get_data() == with_row.get_data()
