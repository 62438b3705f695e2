"""Waiting for tokens over HTTP: one of them, and many."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.config import AuthProvider
from app.domain.roles import Role
from tests.api.client import ORDERS, PIPELINE, Api, forged, refused
from tests.api.conftest import MakeApp
from tests.serving import until

OTHER = "/v0/pipelines/other"
AUDIT = f"{OTHER}/tables/orders/connectors/audit"
MANY = "/v0/completion_status"

Waiting = Future[TestResponse]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def ask(api: Api, threads: ThreadPoolExecutor) -> Callable[..., Waiting]:
    """Asks for a token's status in a thread of its own, and returns when the request sleeps."""

    def ask(token: str) -> Waiting:
        return asleep(api, threads.submit(api.get, f"{PIPELINE}/completion_status?token={token}&wait=50"))

    return ask


def asleep(api: Api, waiting: Waiting) -> Waiting:
    waiters = api.app.extensions["tidemark"].waiters
    until(lambda: waiting.done() or any(None not in groups for groups in list(waiters._registry.values())))
    return waiting


def advance(api: Api, connector: str = ORDERS) -> None:
    """Two further reports, by which all tokens asked for until now become complete."""
    version = api.stats(connector).get_json()["recorded"]["version"]
    for each in (version, version + 1):
        assert api.position(1, 1, each, connector=connector).status_code == 204


@pytest.fixture
def token(api: Api) -> str:
    api.position(1, 1, 0)
    return api.token()


def test_the_answer_comes_when_the_token_is_complete(api: Api, token: str, ask: Callable[..., Waiting]) -> None:
    waiting = ask(token)
    assert not waiting.done()
    advance(api)
    answer = waiting.result(60)
    assert (answer.status_code, answer.get_json()) == (200, {"status": "complete", "step": 3})
    assert "Preference-Applied" not in answer.headers


def test_the_answer_comes_when_the_token_is_lost(api: Api, token: str, ask: Callable[..., Waiting]) -> None:
    waiting = ask(token)
    assert api.remove().status_code == 204
    refused(waiting.result(60), 410, "UnknownEndpointInCompletionToken")


@pytest.mark.parametrize("wait", ["0", "0.0", "0.05", "000.5", "1"])
def test_when_the_time_is_over_the_token_is_in_progress(api: Api, token: str, wait: str) -> None:
    answer = api.get(f"{PIPELINE}/completion_status?token={token}&wait={wait}")
    assert (answer.status_code, answer.get_json()) == (202, {"status": "inprogress", "step": None})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "wait", ["-1", "61", "60.1", "1e1", "nan", "inf", "", " 1", "0x1", "1s", "1&wait=1", "9" * 400, "%D9%A1", "+1"]
)
def test_what_is_no_time_to_wait_is_refused(api: Api, token: str, wait: str) -> None:
    error = refused(api.get(f"{PIPELINE}/completion_status?token={token}&wait={wait}"), 400, "InvalidParam")
    assert error["details"]["error"].startswith("wait: ")


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=1", "wait=1"),
        ('respond-async, WAIT="0" ; x', "wait=0"),
        ("wait=0, wait=50", "wait=0"),
        ('say="a, b", wait=0', "wait=0"),
        ('say="a, wait=0, b"', None),
        ('say="a, wait=0', None),
        ("wait=-1", None),
        ("wait", None),
        ("wait=1.5", None),
        ("wait=a", None),
        ("await=1", None),
        ("x" * 5000, None),
    ],
)
def test_a_preference_to_wait_is_honoured_or_ignored(api: Api, token: str, prefer: str, applied: str | None) -> None:
    answer = api.get(f"{PIPELINE}/completion_status?token={token}", headers={"Prefer": prefer})
    assert (answer.status_code, answer.headers.get("Preference-Applied")) == (202, applied)


def test_more_than_can_be_waited_is_as_much_as_can(api: Api, token: str) -> None:
    advance(api)
    answer = api.get(f"{PIPELINE}/completion_status?token={token}", headers={"Prefer": "wait=3600"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=60")
    answer = api.get(f"{PIPELINE}/completion_status?token={token}&wait=1", headers={"Prefer": "wait=3600"})
    assert "Preference-Applied" not in answer.headers, "the query says it more plainly"


def test_what_can_never_become_complete_is_not_waited_for(api: Api, token: str) -> None:
    refused(api.get(f"{PIPELINE}/completion_status?token={forged(token)}&wait=60"), 404, "UnknownCompletionToken")
    refused(api.get(f"{OTHER}/completion_status?token={token}&wait=60"), 404, "UnknownPipelineName")
    refused(api.get(f"{PIPELINE}/completion_status?token=x&wait=60"), 400, "InvalidParam")
    refused(api.get(f"{PIPELINE}/completion_status?wait=60"), 400, "InvalidParam")


def test_only_so_many_may_wait_with_one_credential(
    make_app: MakeApp, make_key: Callable[..., str], tenant: str, threads: ThreadPoolExecutor
) -> None:
    app = make_app(auth_provider=AuthProvider.API_KEY, max_waits=3, max_waits_per_credential=1)
    first, second = (Api(app, make_key(Role.ADMIN, tenant), tenant) for _ in range(2))
    first.position(1, 1, 0)
    path = f"{PIPELINE}/completion_status?token={first.token()}"
    waiting = asleep(first, threads.submit(first.get, f"{path}&wait=50"))
    answer = first.get(f"{path}&wait=50")
    refused(answer, 429, "TooManyRequests")
    assert answer.headers["Retry-After"] == "1"
    assert first.get(path).status_code == 202, "asking without waiting is always possible"
    assert second.get(f"{path}&wait=0.1").status_code == 202
    advance(first)
    assert waiting.result(60).status_code == 200


# many


def post(api: Api, *tokens: str, **members: Any) -> TestResponse:
    return api.request("POST", MANY, json={"tokens": tokens} | members)


@pytest.fixture
def two(api: Api, token: str) -> tuple[str, str]:
    """Tokens of connectors of two pipelines."""
    api.position(1, 1, 0, connector=AUDIT)
    return token, api.token(AUDIT)


def test_many_tokens_each_have_their_status_and_one_together(api: Api, two: tuple[str, str]) -> None:
    answer = post(api, *two, two[0])
    statuses = [{"token": each, "status": "inprogress", "step": None} for each in (*two, two[0])]
    assert (answer.status_code, answer.get_json()) == (202, {"status": "inprogress", "tokens": statuses})
    advance(api)
    assert [each["status"] for each in post(api, *two).get_json()["tokens"]] == ["complete", "inprogress"]
    assert (post(api, *two).status_code, post(api, *two, until="any").status_code) == (202, 200)
    advance(api, AUDIT)
    assert post(api, *two).get_json() == {
        "status": "complete",
        "tokens": [{"token": each, "status": "complete", "step": 3} for each in two],
    }


def test_a_barrier_across_pipelines(api: Api, two: tuple[str, str], threads: ThreadPoolExecutor) -> None:
    every = threads.submit(post, api, *two, wait=50)
    one = asleep(api, threads.submit(post, api, *two, wait=50, until="any"))
    advance(api)
    answer = one.result(60)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "complete")
    assert not every.done()
    advance(api, AUDIT)
    assert (every.result(60).status_code, every.result(60).get_json()["status"]) == (200, "complete")


def test_what_is_lost_or_unknown_has_its_error_and_decides(api: Api, two: tuple[str, str]) -> None:
    assert api.remove(AUDIT).status_code == 204
    unknown = forged(two[0])
    answer = post(api, *two, unknown, "nonsense", wait=50)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "failed")
    _, lost, never, malformed = answer.get_json()["tokens"]
    assert lost.keys() == {"token", "status", "message", "error_code", "details"}
    codes = [(each["status"], each["error_code"]) for each in (lost, never, malformed)]
    expected = ["UnknownEndpointInCompletionToken", "UnknownCompletionToken", "InvalidParam"]
    assert codes == [("failed", code) for code in expected]
    assert post(api, two[1], unknown, until="any", wait=50).get_json()["status"] == "failed"
    assert post(api, *two, until="any", wait=0.1).get_json()["status"] == "inprogress"


def test_another_tenants_token_is_as_unknown_as_one_that_nobody_issued(api: Api, token: str, make_api: Any) -> None:
    other = make_api(tenant="tenant-of-others")
    foreign, made_up = (post(other, each, wait=50).get_json() for each in (token, forged(token)))
    for body in (foreign, made_up):
        del body["tokens"][0]["token"]
    assert foreign == made_up


def test_a_preference_counts_where_the_body_says_nothing(api: Api, token: str) -> None:
    answer = api.request("POST", MANY, json={"tokens": [token]}, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=1")
    answer = api.request("POST", MANY, json={"tokens": [token], "wait": 0}, headers={"Prefer": "wait=50"})
    assert (answer.status_code, "Preference-Applied" in answer.headers) == (202, False)


def test_a_thousand_tokens_can_be_asked_for_and_not_one_more(api: Api, token: str) -> None:
    assert len(post(api, *[token] * 1000).get_json()["tokens"]) == 1000
    error = refused(post(api, *[token] * 1001), 422, "InvalidReport")
    assert list(error["details"]) == ["tokens"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["tokens"]),
        ({"tokens": []}, ["tokens"]),
        ({"tokens": "ct1_x"}, ["tokens"]),
        ({"tokens": [1]}, ["tokens"]),
        ({"tokens": [None]}, ["tokens"]),
        ({"tokens": ["x"], "until": "some"}, ["until"]),
        ({"tokens": ["x"], "until": None}, ["until"]),
        ({"tokens": ["x"], "wait": 61}, ["wait"]),
        ({"tokens": ["x"], "wait": -1}, ["wait"]),
        ({"tokens": ["x"], "wait": "1"}, ["wait"]),
        ({"tokens": ["x"], "wait": True}, ["wait"]),
        ({"tokens": ["x"], "more": 1}, ["more"]),
        ([], []),
    ],
)
def test_a_bad_body_is_refused_by_the_name_of_its_field(api: Api, body: Any, fields: list[str]) -> None:
    error = refused(api.request("POST", MANY, json=body), 422, "InvalidReport")
    if fields:
        assert list(error["details"]) == fields


def test_no_answer_here_may_be_kept(api: Api, two: tuple[str, str]) -> None:
    assert post(api, *two).headers["Cache-Control"] == "no-store"
    assert re.fullmatch("application/json", post(api, *two).content_type)
