"""The token protocol over HTTP (design: "The rule", "Advancing")."""

import re
from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.client import IN_PROGRESS, ORDERS, PIPELINE, Api, refused, status
from tests.api.conftest import Unchanged

AUDIT = f"{PIPELINE}/tables/orders/connectors/audit"


def synchronous(api: Api, received: int, completed: int) -> Any:
    report = {"recording": "synchronous", "position": {"received": received, "completed": completed}}
    return api.report(report, None)


def test_a_token_goes_through_any_part_of_a_url_and_is_new_each_time(api: Api) -> None:
    api.position(1, 1, 0)
    tokens = {api.token() for _ in range(20)}
    assert len(tokens) == 20
    assert all(re.fullmatch(r"ct1_[a-z2-7]{52}", token) for token in tokens)


def test_a_sampled_token_waits_for_the_second_report_after_it(api: Api) -> None:
    api.position(5, 5, 0)
    token = api.token()
    assert status(api, token) == IN_PROGRESS, "what came in since the record was made is not in it"
    api.position(5, 5, 1)
    assert status(api, token) == IN_PROGRESS, "this report may have been measured before the token was asked for"
    api.position(5, 5, 2)
    assert status(api, token) == ("complete", 3)


def test_a_token_covers_what_was_received_but_not_yet_recorded(api: Api) -> None:
    api.position(100, 100, 0)
    token = api.token()
    api.position(150, 100, 1)
    api.position(150, 149, 2)
    api.position(160, 149, 3)
    assert status(api, token) == IN_PROGRESS
    api.position(170, 150, 4)
    assert status(api, token) == ("complete", 3)


def test_a_synchronous_token_waits_for_the_version_it_saw(api: Api) -> None:
    assert synchronous(api, 10, 4).status_code == 201
    early = api.token()
    assert synchronous(api, 20, 9).status_code == 204
    assert status(api, early) == IN_PROGRESS
    late = api.token()
    synchronous(api, 30, 10)
    assert (status(api, early), status(api, late)) == (("complete", 1), IN_PROGRESS)
    synchronous(api, 30, 30)
    assert status(api, late) == ("complete", 2)
    assert status(api, api.token()) == ("complete", 4), "nothing is left to wait for"


def test_a_synchronous_report_may_be_conditional(api: Api) -> None:
    synchronous(api, 1, 1)
    assert api.report({"recording": "synchronous"}, 1).headers["ETag"] == '"2"'
    refused(api.report({"recording": "synchronous"}, 1), 412, "PreconditionFailed")


def test_a_status_only_report_counts_as_a_version_and_completes_nothing(api: Api) -> None:
    api.position(5, 5, 0)
    token = api.token()
    for version in (1, 2, 3):
        assert api.report({"metrics": {"total_records": version}}, version).status_code == 204
    assert status(api, token) == IN_PROGRESS
    api.position(5, 5, 4)
    assert status(api, token) == ("complete", 3)


def test_there_are_no_tokens_before_the_first_position(api: Api, unchanged: Unchanged) -> None:
    api.report({}, 0)
    with unchanged():
        refused(api.issue(), 409, "NoStreamPosition")
    api.position(0, 0, 1)
    assert api.issue().status_code == 200


@pytest.mark.parametrize(
    ("received", "completed", "expected"),
    [
        ({"a": 5, "b": 5}, {"a": 5, "b": 5}, ("complete", 3)),
        ({"a": 5, "b": 5}, {"a": 9, "b": 5, "c": 1}, ("complete", 3)),
        ({"a": 5, "b": 0}, {"a": 5}, ("complete", 3)),
        ({"a": 5, "b": 5}, {"a": 5}, IN_PROGRESS),
        ({"a": 5, "b": 5}, {"a": 5, "b": 4}, IN_PROGRESS),
        ({"a": 5, "b": 5}, {}, IN_PROGRESS),
        ({"a": 5, "b": 5}, None, IN_PROGRESS),
        (0, 0, ("complete", 3)),
        (0, None, IN_PROGRESS),
        (2**63 - 1, 2**63 - 2, IN_PROGRESS),
        (2**63 - 1, 2**63 - 1, ("complete", 3)),
    ],
)
def test_a_position_is_complete_when_every_component_with_input_is(
    api: Api, received: Any, completed: Any, expected: Any
) -> None:
    api.position(received, None, 0)
    token = api.token()
    for version in (1, 2):
        assert api.position(received, completed, version).status_code == 204
    assert status(api, token) == expected


def test_a_rewound_consumer_takes_nothing_back(api: Api, engine: sa.Engine) -> None:
    api.position(10, 10, 0)
    done = api.token()
    api.position(10, 10, 1)
    api.position(10, 10, 2)
    api.position(20, 3, 3)
    waiting = api.token()
    assert status(api, done) == ("complete", 3)
    api.position(20, 10, 4)
    api.position(20, 19, 5)
    assert status(api, waiting) == IN_PROGRESS
    api.position(20, 20, 6)
    assert status(api, waiting) == ("complete", 6)
    with engine.connect() as connection:
        rewound = connection.scalars(
            sa.text(
                "SELECT e.version FROM connector_event AS e JOIN connector AS c ON c.id = connector_id"
                " WHERE c.tenant_id = :tenant AND kind = 'rewound'"
            ),
            {"tenant": api.tenant_id},
        ).all()
    assert rewound == [4]


def test_tokens_complete_while_their_pipeline_is_stopped(api: Api) -> None:
    api.position(10, 5, 0)
    token = api.token()
    api.set_pipeline("Stopped")
    assert status(api, token) == IN_PROGRESS
    api.position(10, 10, 1)
    api.position(10, 10, 2)
    assert status(api, token) == ("complete", 3)


def test_a_token_minds_no_other_connector(api: Api) -> None:
    api.position(10, 5, 0)
    api.position(10, 5, 0, connector=AUDIT)
    token = api.token()
    for version in (1, 2, 3):
        api.position(10, 10, version, connector=AUDIT)
    api.remove(AUDIT)
    assert status(api, token) == IN_PROGRESS


def test_head_issues_no_token(api: Api, unchanged: Unchanged) -> None:
    api.position(10, 5, 0)
    with unchanged():
        response = api.request("HEAD", f"{ORDERS}/completion_token")
        assert (response.status_code, response.headers["Allow"]) == (405, "GET")


def test_a_refused_request_issues_no_token(api: Api, unchanged: Unchanged) -> None:
    api.position(10, 5, 0)
    api.set_pipeline("Stopped")
    with unchanged():
        assert api.issue().status_code == 503
        assert api.issue(AUDIT).status_code == 404
