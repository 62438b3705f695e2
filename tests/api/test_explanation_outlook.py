"""What is told of how an unfinished token's connector goes on: its lifecycle and progress, a rate, an estimate."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app.config import AuthProvider
from tests.api.client import Api
from tests.api.conftest import MakeApp, PassTime
from tests.api.explaining import explained, held, time, waiting


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application that keeps every observation."""
    return make_app(auth_provider=AuthProvider.API_KEY, history_interval=timedelta(0))


def test_a_moving_connector_has_a_rate_and_an_estimate_with_their_basis(api: Api, pass_time: PassTime) -> None:
    token = waiting(api)
    observed = api.stats().get_json()["recorded"]["recorded_at"]
    pass_time(20)
    api.position(200, 60, 3)
    holding = held(api, token)
    rate, eta = holding["rate"], holding["eta"]
    assert (holding["lifecycle"], holding["progress"], holding["missing_records"]) == ("running", "moving", 40)
    assert (rate["records"], rate["until"]) == (20, holding["recorded_at"])
    assert time(rate["since"]) < time(observed) - timedelta(seconds=20) + timedelta(milliseconds=1)
    span = (time(rate["until"]) - time(rate["since"])).total_seconds()
    assert rate["records_per_second"] == pytest.approx(20 / span)
    assert (eta["component"], eta["records_per_second"]) == (None, rate["records_per_second"])
    due = time(rate["until"]) + timedelta(seconds=40 / rate["records_per_second"])
    assert abs(time(eta["at"]) - due) < timedelta(milliseconds=1)


def test_the_rate_is_that_of_the_last_minute_where_it_was_observed(api: Api, pass_time: PassTime) -> None:
    api.position(1000, 0, 0)
    token = api.token()
    for version in range(1, 12):
        pass_time(10)
        api.position(1000, version**2, version)
    rate = held(api, token)["rate"]
    assert rate["records"] == 11**2 - 6**2, "from the observation of 50 s before, and not of a minute and a moment"
    pass_time(600)
    api.position(1000, 500, 12)
    assert held(api, token)["rate"]["records"] == 500 - 11**2, "the last minute knows no other, but there is one before"


def test_idle_time_is_not_counted_into_the_rate(api: Api, pass_time: PassTime) -> None:
    for version, (received, completed) in enumerate([(1000, 900), (1000, 1000), (1000, 1000), (2000, 1000)]):
        api.position(received, completed, version)
        pass_time(10)
    token = api.token()
    api.position(2000, 1500, 4)
    rate = held(api, token)["rate"]
    assert rate["records"] == 500
    assert timedelta(seconds=20) <= time(rate["until"]) - time(rate["since"]) < timedelta(seconds=30)


def test_the_estimate_is_that_of_the_slowest_component(api: Api, pass_time: PassTime) -> None:
    token = waiting(api, received={"a": 100, "b": 100}, completed={"a": 0, "b": 0})
    pass_time(50)
    api.position({"a": 100, "b": 100}, {"a": 80, "b": 10}, 3)
    holding = held(api, token)
    assert (holding["rate"]["records"], holding["eta"]["component"]) == (90, "b")
    assert holding["eta"]["records_per_second"] == pytest.approx(holding["rate"]["records_per_second"] / 9)
    pass_time(50)
    api.position({"a": 100, "b": 100}, {"a": 90, "b": 10}, 4)
    pass_time(50)
    api.position({"a": 100, "b": 100}, {"a": 95, "b": 10}, 5)
    holding = held(api, token)
    assert (holding["progress"], holding["rate"]["records"], holding["eta"]) == ("moving", 5, None), "b stands still"


def test_an_estimate_that_has_passed_is_now(api: Api, pass_time: PassTime) -> None:
    token = waiting(api, completed=0)
    pass_time(1)
    api.position(100, 99, 3)
    pass_time(30)
    eta = held(api, token)["eta"]
    assert eta["seconds"] == 0.0


def test_a_stalled_connector_has_no_estimate(api: Api, pass_time: PassTime) -> None:
    token = waiting(api)
    pass_time(10)
    for version in (3, 4):
        api.position(100, 50, version)
    assert held(api, token)["progress"] == "moving"
    for version in (5, 6):
        api.position(100, 50, version)
    document = explained(api, token)
    holding = document["holding_back"]
    assert (holding["progress"], holding["rate"]["records"], holding["eta"]) == ("stalled", 10, None)
    assert document["reason"].startswith("Nothing was completed in the last 3 reports; 50 records")


@pytest.mark.parametrize(
    ("status", "lifecycle", "words", "estimated"),
    [
        ({"paused": True}, "paused", "The connector is paused; 40 records", True),
        ({"fatal_error": "the disk is full", "paused": True}, "failed", "The connector has failed; 40 records", False),
        ({"metrics": {"end_of_input": True}}, "finished", "40 records", True),
    ],
)
def test_the_lifecycle_is_told(
    api: Api, pass_time: PassTime, status: Any, lifecycle: str, words: str, estimated: bool
) -> None:
    token = waiting(api)
    pass_time(10)
    api.report({"position": {"received": 100, "completed": 60}, **status}, 3)
    document = explained(api, token)
    assert document["holding_back"]["lifecycle"] == lifecycle
    assert document["reason"].startswith(words)
    assert (document["holding_back"]["eta"] is not None) is estimated


def test_a_connector_that_does_not_report_is_told_with_the_time_of_its_last_report(
    api: Api, pass_time: PassTime
) -> None:
    token = waiting(api)
    pass_time(10)
    api.report({"position": {"received": 100, "completed": 60}, "interval_seconds": 5}, 3)
    assert held(api, token)["not_reporting_since"] is None
    assert held(api, token)["eta"]
    pass_time(15.1)
    document = explained(api, token)
    holding = document["holding_back"]
    assert holding["not_reporting_since"] == holding["recorded_at"]
    assert (holding["progress"], holding["eta"]) == ("unknown", None)
    assert document["reason"].startswith(f"The connector has not reported since {holding['recorded_at']}; 40 records")


def test_a_rewound_consumer_misses_more_and_has_no_rate_until_it_has_gone_on(api: Api, pass_time: PassTime) -> None:
    token = waiting(api)
    pass_time(10)
    api.position(100, 10, 3)
    document = explained(api, token)
    holding = document["holding_back"]
    assert (holding["progress"], holding["missing_records"]) == ("rewound", 90)
    assert (holding["rate"], holding["eta"]) == (None, None)
    assert document["reason"] == "The consumer was rewound; 90 records are still to be completed."
    pass_time(70)
    api.position(100, 30, 4)
    holding = held(api, token)
    assert (holding["progress"], holding["rate"]["records"], holding["missing_records"]) == ("moving", 20, 70)


def test_a_stopped_pipeline_is_told(api: Api) -> None:
    token = waiting(api)
    api.set_pipeline("Stopped")
    document = explained(api, token)
    assert document["holding_back"]["pipeline_stopped"] is True
    assert document["reason"].startswith("The pipeline is recorded as stopped; 60 records")


def test_no_observation_of_another_epoch_is_measured_from(api: Api, pass_time: PassTime) -> None:
    api.position(100, 50, 0, "run-1")
    pass_time(10)
    api.position(100, 60, 1, "run-2")
    token = api.token()
    assert held(api, token)["rate"] is None
    pass_time(10)
    api.position(100, 70, 2, "run-2")
    assert held(api, token)["rate"]["records"] == 10
