"""Tokens over new epochs, zombies, removal and restoring (design: "Rules at the edges")."""

from typing import Any

import pytest

from tests.api.client import IN_PROGRESS, ORDERS, PIPELINE, Api, refused, status
from tests.api.conftest import Unchanged


def test_a_new_epoch_keeps_what_was_complete_and_loses_the_rest(api: Api) -> None:
    api.position(10, 10, 0, "run-1")
    done = api.token()
    api.position(10, 10, 1, "run-1")
    api.position(10, 10, 2, "run-1")
    lost = api.token()
    api.position(20, 10, 3, "run-1")
    assert api.position(0, 0, 4, "run-2").status_code == 204, "positions of two epochs are not compared"
    api.position(9, 9, 5, "run-2")
    assert status(api, done) == ("complete", 3)
    refused(api.check(lost), 410, "PipelineRestarted")
    fresh = api.token()
    api.position(9, 9, 6, "run-2")
    api.position(9, 9, 7, "run-2")
    assert status(api, fresh) == ("complete", 8)
    refused(api.check(lost), 410, "PipelineRestarted")


def test_a_token_that_was_complete_stays_so_over_epochs(api: Api) -> None:
    api.position(10, 10, 0, "run-1")
    done = api.token()
    for version in (1, 2):
        api.position(10, 10, version, "run-1")
    for version, epoch in ((3, "run-2"), (4, "run-3")):
        api.position(0, None, version, epoch)
        assert status(api, done) == ("complete", 3)


def test_tokens_go_on_over_a_restart_that_keeps_its_epoch(api: Api) -> None:
    api.position(10, 5, 0, "topic-1")
    token = api.token()
    api.report({"fatal_error": "killed"}, 1)
    api.position(12, 5, 2, "topic-1")
    assert status(api, token) == IN_PROGRESS
    api.position(12, 12, 3, "topic-1")
    assert status(api, token) == ("complete", 3)


@pytest.mark.parametrize("zombie", ["run-1", None])
def test_a_zombies_report_is_refused_and_changes_nothing(api: Api, unchanged: Unchanged, zombie: str | None) -> None:
    api.position(10, 10, 0, zombie)
    api.position(10, 10, 1, "run-2")
    token = api.token()
    with unchanged():
        refused(api.position(99, 99, 2, zombie), 409, "EpochSuperseded")
    assert status(api, token) == IN_PROGRESS


@pytest.mark.parametrize("received", [9, 0, {"a": 10}])
def test_a_received_position_that_went_back_is_refused_and_changes_nothing(
    api: Api, unchanged: Unchanged, received: Any
) -> None:
    api.position(10, 10, 0)
    with unchanged():
        refused(api.position(received, None, 1), 409, "PositionRegressed")
    assert api.position(received, None, 1, "a-new-history").status_code == 204


def test_a_removed_connectors_tokens_are_gone(api: Api, unchanged: Unchanged) -> None:
    api.position(10, 10, 0)
    done = api.token()
    api.position(10, 10, 1)
    api.position(10, 10, 2)
    waiting = api.token()
    assert (status(api, done), status(api, waiting)) == (("complete", 3), IN_PROGRESS)
    assert api.remove().status_code == 204
    for token in (done, waiting):
        refused(api.check(token), 410, "UnknownEndpointInCompletionToken")
    with unchanged():
        for response in (api.stats(), api.issue(), api.remove()):
            refused(response, 404, "UnknownInputEndpoint")
        assert refused(api.report({}, 3), 412, "PreconditionFailed")["details"] == {"current_version": 0}
    assert api.get(f"{PIPELINE}/stats").get_json()["inputs"] == []


def test_a_restored_connector_counts_on_and_judges_its_old_tokens_by_their_epoch(api: Api) -> None:
    for version in range(3):
        api.position(10, 10, version, "run-1")
        if version == 0:
            done = api.token()
    waiting = api.token()
    assert status(api, done) == ("complete", 3)
    api.remove()
    restored = api.position(0, 0, 0, "run-1")
    assert (restored.status_code, restored.headers["ETag"], restored.get_json()) == (201, '"4"', {"version": 4})
    record = api.stats().get_json()["recorded"]
    assert (record["version"], record["epoch_number"], record["received"]) == (4, 2, 0)
    assert status(api, done) == ("complete", 3)
    for version in range(4, 8):
        api.position(0, 0, version, "run-1")
    body = refused(api.check(waiting), 410, "PipelineRestarted")
    assert body["details"] == {"token_epoch": 1, "current_epoch": 2}


def test_a_connector_restored_without_a_position_has_no_tokens_yet(api: Api) -> None:
    api.position(10, 10, 0)
    api.remove()
    assert api.report({}, 0).status_code == 201
    refused(api.issue(), 409, "NoStreamPosition")
    assert api.stats().get_json()["recorded"]["received"] is None


def test_a_removal_may_be_conditional(api: Api, unchanged: Unchanged) -> None:
    """RFC 9110 §13.1.1: nothing is done where the condition does not hold."""
    api.position(1, 1, 0)
    api.position(2, 2, 1)
    for if_match, answer, code in (('"1"', 412, "PreconditionFailed"), ("*", 400, "InvalidParam")):
        with unchanged():
            response = api.request("DELETE", ORDERS, headers={"If-Match": if_match})
            refused(response, answer, code)
    assert api.request("DELETE", ORDERS, headers={"If-Match": '"2"'}).status_code == 204
