"""When a token completed, as far as the observations of its connector tell."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.config import AuthProvider
from tests.api.client import Api
from tests.api.conftest import MakeApp, MakeKey, PassTime
from tests.api.explaining import explained, time, waiting


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application that keeps every observation."""
    return make_app(auth_provider=AuthProvider.API_KEY, history_interval=timedelta(0))


def completed_between(api: Api, token: str) -> tuple[str | None, str]:
    document = explained(api, token)
    assert (document["status"], document["bound"], document["holding_back"]) == ("complete", True, None)
    assert document["completed_version"] >= document["binding"]
    return document["completed_after"], document["completed_by"]


def recorded_at(api: Api) -> str:
    return str(api.stats().get_json()["recorded"]["recorded_at"])


def test_a_token_that_has_just_completed_did_so_between_two_reports(api: Api) -> None:
    token = waiting(api)
    last = recorded_at(api)
    api.position(100, 100, 3)
    assert completed_between(api, token) == (last, recorded_at(api))


@pytest.mark.parametrize("done_at", [3, 4, 31, 63, 64])
def test_a_token_of_long_ago_completed_between_two_observations(
    api: Api, engine: sa.Engine, pass_time: PassTime, done_at: int
) -> None:
    token = waiting(api)
    for version in range(3, 65):
        pass_time(version % 7 * 10)
        api.position(1000 + version, 100 if version + 1 >= done_at else 40, version)
    with engine.connect() as connection:
        observed = connection.execute(
            sa.text(
                "SELECT o.recorded_at FROM observation AS o JOIN connector AS c ON c.id = connector_id"
                " WHERE tenant_id = :tenant AND o.version BETWEEN :done - 1 AND :done ORDER BY o.version"
            ),
            {"tenant": api.tenant_id, "done": max(4, done_at)},
        ).scalars()
        expected = list(observed)
    after, by = completed_between(api, token)
    assert [time(after or ""), time(by)] == expected


def test_a_thinned_history_gives_wider_bounds(make_app: MakeApp, make_key: MakeKey, tenant: str) -> None:
    app = make_app(auth_provider=AuthProvider.API_KEY, history_interval=timedelta(hours=1))
    api = Api(app, make_key(tenant=tenant), tenant)
    token = waiting(api)
    issued = explained(api, token)["issued_at"]
    for version in (3, 4):
        api.position(100, 100, version)
    assert completed_between(api, token) == (issued, recorded_at(api)), "of all reports only the first one is observed"


def test_without_a_history_only_the_record_tells_when_a_token_completed(api: Api, engine: sa.Engine) -> None:
    token = waiting(api)
    api.position(100, 100, 3)
    api.position(100, 100, 4)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "DELETE FROM observation WHERE connector_id IN (SELECT id FROM connector WHERE tenant_id = :tenant)"
            ),
            {"tenant": api.tenant_id},
        )
    assert completed_between(api, token) == (None, recorded_at(api))


def test_a_token_that_had_nothing_to_wait_for_completed_when_it_was_issued(api: Api, pass_time: PassTime) -> None:
    report = {"recording": "synchronous", "position": {"received": 10, "completed": 10}}
    api.report(report, None)
    pass_time(60)
    token = api.token()
    api.report(report, None)
    assert completed_between(api, token) == (None, explained(api, token)["issued_at"])


def test_a_token_of_an_ended_epoch_completed_before_its_end(api: Api, pass_time: PassTime) -> None:
    api.position(10, 5, 0, "run-1")
    token = api.token()
    api.position(10, 5, 1, "run-1")
    api.position(10, 5, 2, "run-1")
    pass_time(10)
    last = recorded_at(api)
    api.position(10, 10, 3, "run-1")
    done = recorded_at(api)
    for version, epoch in ((4, "run-2"), (5, "run-2"), (6, "run-3")):
        api.position(0, 0, version, epoch)
    assert completed_between(api, token) == (last, done)
    document = explained(api, token)
    assert (document["epoch"], document["epoch_number"], document["completed_version"]) == ("run-1", 1, 4)


def test_a_complete_token_of_a_connector_that_came_back_is_explained_as_before(api: Api) -> None:
    token = waiting(api)
    api.position(100, 100, 3)
    before = completed_between(api, token)
    api.remove()
    assert explained(api, token)["status"] == "lost"
    api.position(0, 0, 0)
    assert completed_between(api, token) == before
