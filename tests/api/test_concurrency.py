"""Requests at the same time: no version is skipped or given twice, and no deadlock is shown."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from app.config import AuthProvider
from app.domain.roles import Role
from tests.api.client import ORDERS, PIPELINE, Api
from tests.api.conftest import MakeApp, MakeKey

THREADS = 8
T = TypeVar("T")


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application with a connection for each thread."""
    return make_app(auth_provider=AuthProvider.API_KEY, pool_size=THREADS)


@pytest.fixture
def together(app: Flask, make_key: MakeKey, tenant: str) -> Callable[[Callable[[Api, int], T]], list[T]]:
    """Does something in all threads at once; each has a client, of one tenant, and a number."""
    key = make_key(Role.ADMIN, tenant)

    def run(work: Callable[[Api, int], T]) -> list[T]:
        barrier = Barrier(THREADS)

        def one(number: int) -> T:
            api = Api(app, key, tenant)
            barrier.wait(10)
            return work(api, number)

        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(one, range(THREADS)))

    return run


def version_of(response: TestResponse) -> int:
    """The version in the ETag, 0 without one."""
    return int(response.headers.get("ETag", '"0"').strip('"'))


Together = Callable[[Callable[[Api, int], Any]], list[Any]]


def test_conditional_reports_take_each_version_once_and_a_refusal_names_the_newest(together: Together) -> None:
    def report(api: Api, _: int) -> tuple[list[int], list[tuple[int, int]]]:
        accepted: list[int] = []
        refused: list[tuple[int, int]] = []
        known = 0
        while len(accepted) < 6:
            response = api.position(1, 1, known)
            assert response.status_code in (201, 204, 412), response.text
            current = version_of(response)
            if response.status_code == 412:
                assert response.get_json()["details"] == {"current_version": current}
                refused.append((known, current))
            else:
                assert current == known + 1
                accepted.append(current)
            known = current
        return accepted, refused

    outcomes = together(report)
    assert sorted(version for accepted, _ in outcomes for version in accepted) == list(range(1, 6 * THREADS + 1))
    assert all(known < current <= 6 * THREADS for _, refused in outcomes for known, current in refused)


def test_a_first_report_is_first_once(together: Together) -> None:
    responses = together(lambda api, number: api.report({"metrics": {"total_records": number}}, 0))
    assert sorted(response.status_code for response in responses) == [201] + [412] * (THREADS - 1)
    assert {response.headers["ETag"] for response in responses} == {'"1"'}


def test_synchronous_reports_take_each_version_once_and_none_is_refused(together: Together) -> None:
    def report(api: Api, _: int) -> list[tuple[int, str]]:
        responses = [api.report({"recording": "synchronous"}, None) for _ in range(5)]
        return [(response.status_code, response.headers["ETag"]) for response in responses]

    outcomes = [outcome for each in together(report) for outcome in each]
    assert sorted(status for status, _ in outcomes) == [201] + [204] * (5 * THREADS - 1)
    assert sorted(int(etag.strip('"')) for _, etag in outcomes) == list(range(1, 5 * THREADS + 1))


def test_first_reports_to_a_new_pipeline_make_it_known_together(together: Together) -> None:
    connector = f"{PIPELINE}/tables/orders/connectors/c{{}}"
    responses = together(lambda api, number: api.report({}, 0, connector.format(number)))
    assert [response.status_code for response in responses] == [201] * THREADS


@pytest.mark.parametrize("recording", ["synchronous", "sampled"])
def test_batches_in_opposite_orders_deadlock_nobody(together: Together, recording: str) -> None:
    def send(api: Api, number: int) -> list[int]:
        names = [f"c{connector}" for connector in range(60)][:: 1 if number % 2 else -1]
        known, statuses = dict.fromkeys(names, 0), []
        for _ in range(4):
            response = api.batch(*(item(name, known[name]) for name in names))
            assert response.status_code == 200, response.text
            for answer in response.get_json():
                known[answer["connector"]] = answer.get("version") or answer["details"]["current_version"]
                statuses.append(answer["status"])
        return statuses

    def item(name: str, version: int) -> dict[str, Any]:
        condition = {} if recording == "synchronous" else {"if_match": version}
        return {"table": "orders", "connector": name, "recording": recording, **condition}

    statuses = [status for each in together(send) for status in each]
    assert set(statuses) <= ({201, 204} if recording == "synchronous" else {201, 204, 412})
    assert statuses.count(201) == 60


def test_a_connector_is_removed_once(together: Together, app: Flask, make_key: MakeKey, tenant: str) -> None:
    Api(app, make_key(Role.ADMIN, tenant), tenant).position(1, 1, 0)
    statuses = together(lambda api, _: api.remove().status_code)
    assert sorted(statuses) == [204] + [404] * (THREADS - 1)


def test_reports_and_removals_of_one_connector_leave_versions_that_only_grow(together: Together) -> None:
    def work(api: Api, number: int) -> list[int]:
        versions, known = [], 0
        for _ in range(12):
            if number == 0:
                assert api.remove().status_code in (204, 404)
                continue
            response = api.position(1, 1, known, epoch=f"run-{known}")
            assert response.status_code in (201, 204, 409, 412), response.text
            if response.status_code < 300:
                versions.append(version_of(response))
            known = version_of(response)
        return versions

    versions = [version for each in together(work) for version in each]
    assert sorted(versions) == list(range(1, len(versions) + 1))


def test_tokens_issued_while_reports_come_in_wait_for_two_that_follow(
    together: Together, app: Flask, make_key: MakeKey, tenant: str
) -> None:
    api = Api(app, make_key(Role.ADMIN, tenant), tenant)
    api.position(1, 1, 0)

    def work(api: Api, number: int) -> list[tuple[int, str]]:
        if number % 2:
            return [(version_of(api.stats()), api.token()) for _ in range(15)]
        known = 1
        for _ in range(15):
            known = version_of(api.position(1, 1, known))
        return []

    issued = [each for thread in together(work) for each in thread]
    for _ in range(2):
        api.position(1, 1, version_of(api.stats()))
    for seen, token in issued:
        answer = api.check(token)
        assert answer.status_code == 200
        assert seen + 2 <= answer.get_json()["step"] <= version_of(api.stats())


@pytest.mark.parametrize("status", ["Running", "Stopped"])
def test_a_pipeline_is_made_known_once(together: Together, status: str) -> None:
    """Many times over: who looked before the other wrote, and wrote after, is rare."""
    start = Barrier(THREADS)

    def make_known(api: Api, _: int) -> list[int]:
        statuses = []
        for number in range(60):
            start.wait(10)
            statuses.append(api.set_pipeline(status, f"/v0/pipelines/p{number}").status_code)
        return statuses

    for statuses in zip(*together(make_known), strict=True):
        assert sorted(statuses) == [201] + [204] * (THREADS - 1)


def test_the_name_of_an_api_key_is_given_once(together: Together) -> None:
    responses = together(lambda api, _: api.request("POST", "/v0/api_keys", json={"name": "ci"}).status_code)
    assert sorted(responses) == [201] + [409] * (THREADS - 1)


def test_tokens_issued_at_once_are_all_there(together: Together, app: Flask, make_key: MakeKey, tenant: str) -> None:
    api = Api(app, make_key(Role.ADMIN, tenant), tenant)
    api.position(1, 1, 0)
    tokens = together(lambda each, _: [each.token(ORDERS) for _ in range(5)])
    flat = [token for each in tokens for token in each]
    assert len(set(flat)) == 5 * THREADS
    assert {api.check(token).status_code for token in flat} == {202}


def test_a_locked_connector_holds_up_nobody_elses_report(api: Api, engine: sa.Engine) -> None:
    """They share a batch, and the batch a transaction; who waits for the lock has to wait alone."""
    names = [f"c{number}" for number in range(8)]
    for name in names:
        assert api.report({}, 0, connector_of(name)).status_code == 201
    locked = sa.text("SELECT FROM connector WHERE connector_name = 'c0' AND tenant_id = :tenant FOR UPDATE")
    with engine.begin() as holder, ThreadPoolExecutor(len(names)) as clients:
        holder.execute(locked, {"tenant": api.tenant_id})
        for version in (1, 2):
            answers = {name: clients.submit(api.report, {}, version, connector_of(name)) for name in names}
            assert [answers[name].result().status_code for name in names[1:]] == [204] * 7
            assert version == 2 or not answers["c0"].done(), "they have waited with it"
            assert answers["c0"].result().status_code in ((503,) if version == 1 else (503, 412))


def connector_of(name: str) -> str:
    return f"{PIPELINE}/tables/orders/connectors/{name}"
