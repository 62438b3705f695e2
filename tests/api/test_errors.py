"""The contract's error table: every row, in the one shape."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.api.body import MAX_BODY
from app.domain.roles import Role
from tests.api.client import ORDERS, PIPELINE, REPORTS, STATS, Api, forged, refused, sent

NO_PATH = "Nothing is at this path, or not with a slash at its end: /docs/ and /openapi.json tell what there is."
OTHER_METHODS = "This path takes no other methods than GET, HEAD, OPTIONS, PUT."
OTHER = f"{PIPELINE}/tables/orders/connectors/audit"


def unknown_pipeline(api: Api) -> TestResponse:
    return api.stats()


def unknown_connector(api: Api) -> TestResponse:
    api.report({}, 0)
    return api.stats(OTHER)


def unknown_table(api: Api) -> TestResponse:
    api.report({}, 0)
    return api.issue(f"{PIPELINE}/tables/%22Orders%22/connectors/billing")


def stopped_stats(api: Api) -> TestResponse:
    api.position(1, 1, 0)
    api.set_pipeline("Stopped")
    return api.stats()


def stopped_pipeline_stats(api: Api) -> TestResponse:
    api.set_pipeline("Stopped")
    return api.get(f"{PIPELINE}/stats")


def stopped_issue(api: Api) -> TestResponse:
    api.position(1, 1, 0)
    api.set_pipeline("Stopped")
    return api.issue()


def token_missing(api: Api) -> TestResponse:
    api.report({}, 0)
    return api.get(f"{PIPELINE}/completion_status")


def token_repeated(api: Api) -> TestResponse:
    api.position(1, 1, 0)
    query = f"token={api.token()}&token={api.token()}"
    return api.get(f"{PIPELINE}/completion_status?{query}")


def token_malformed(api: Api) -> TestResponse:
    api.report({}, 0)
    return api.check("ct1_abc")


def token_unknown(api: Api) -> TestResponse:
    api.position(1, 1, 0)
    return api.check(forged(api.token()))


def token_lost(api: Api) -> TestResponse:
    api.position(1, 0, 0, epoch="run-1")
    token = api.token()
    api.position(1, 0, 1, epoch="run-2")
    return api.check(token)


def token_removed(api: Api) -> TestResponse:
    api.position(1, 0, 0)
    token = api.token()
    api.remove()
    return api.check(token)


def no_position(api: Api) -> TestResponse:
    api.report({}, 0)
    return api.issue()


def regressed(api: Api) -> TestResponse:
    api.position({"a": 2}, None, 0)
    return api.position({"a": 1}, None, 1)


def superseded(api: Api) -> TestResponse:
    api.position(1, 1, 0, epoch="run-1")
    api.position(1, 1, 1, epoch="run-2")
    return api.position(2, 1, 2, epoch="run-1")


def stale(api: Api) -> TestResponse:
    api.report({}, 0)
    api.report({}, 1)
    return api.report({}, 1)


def unconditional(api: Api) -> TestResponse:
    return api.report({}, None)


def key_name_in_use(api: Api) -> TestResponse:
    api.request("POST", "/v0/api_keys", json={"name": "ci"})
    return api.request("POST", "/v0/api_keys", json={"name": "ci"})


STOPPED = "Pipeline 'demo' is recorded as stopped, so it cannot be interacted with"
ANY = object()
TABLE: list[tuple[Callable[[Api], TestResponse], int, str, Any, Any]] = [
    (unknown_pipeline, 404, "UnknownPipelineName", "Unknown pipeline name 'demo'", {"pipeline_name": "demo"}),
    (
        unknown_connector,
        404,
        "UnknownInputEndpoint",
        "unknown input endpoint name 'orders.audit'",
        {"endpoint_name": "orders.audit"},
    ),
    (
        unknown_table,
        404,
        "UnknownInputEndpoint",
        "unknown input endpoint name 'Orders.billing'",
        {"endpoint_name": "Orders.billing"},
    ),
    (stopped_stats, 503, "PipelineInteractionNotDeployed", STOPPED, ANY),
    (stopped_pipeline_stats, 503, "PipelineInteractionNotDeployed", STOPPED, ANY),
    (stopped_issue, 503, "PipelineInteractionNotDeployed", STOPPED, ANY),
    (token_missing, 400, "InvalidParam", ANY, {"error": "token: not a completion token"}),
    (token_repeated, 400, "InvalidParam", ANY, {"error": "token: is given 2 times; give it once"}),
    (token_malformed, 400, "InvalidParam", ANY, {"error": "token: not a completion token"}),
    (token_unknown, 404, "UnknownCompletionToken", ANY, None),
    (token_lost, 410, "PipelineRestarted", ANY, {"token_epoch": 1, "current_epoch": 2}),
    (token_removed, 410, "UnknownEndpointInCompletionToken", ANY, None),
    (no_position, 409, "NoStreamPosition", ANY, None),
    (regressed, 409, "PositionRegressed", ANY, {"component": "a", "recorded": 2, "reported": 1}),
    (superseded, 409, "EpochSuperseded", ANY, {"epoch": "run-1", "current_epoch": "run-2"}),
    (stale, 412, "PreconditionFailed", ANY, {"current_version": 2}),
    (unconditional, 428, "PreconditionRequired", ANY, None),
    (sent("PUT", STATS, json={"paused": 1}), 422, "InvalidReport", "Invalid fields: paused", ANY),
    (sent("PUT", STATS, data="{", content_type="application/json"), 400, "MalformedBody", ANY, None),
    (sent("PUT", STATS, json=" " * MAX_BODY), 413, "RequestEntityTooLarge", ANY, None),
    (sent("PUT", STATS, data="{}"), 415, "UnsupportedMediaType", ANY, None),
    (sent("POST", REPORTS, data="[]", content_type="text/plain"), 415, "UnsupportedMediaType", ANY, None),
    (sent("GET", "/v0/nothing"), 404, "NotFound", NO_PATH, None),
    (sent("GET", f"{PIPELINE}/"), 404, "NotFound", NO_PATH, None),
    (sent("GET", "/"), 404, "NotFound", ANY, None),
    (sent("POST", STATS, json={}), 405, "MethodNotAllowed", OTHER_METHODS, None),
    (sent("DELETE", REPORTS), 405, "MethodNotAllowed", ANY, None),
    (sent("GET", "/v0/api_keys/nobody"), 404, "UnknownApiKey", ANY, {"name": "nobody"}),
    (key_name_in_use, 409, "ApiKeyNameInUse", ANY, {"name": "ci"}),
]


@pytest.mark.parametrize(("ask", "status", "code", "message", "details"), TABLE)
def test_each_case_has_its_status_code_message_and_details(
    api: Api, ask: Callable[[Api], TestResponse], status: int, code: str, message: Any, details: Any
) -> None:
    body = refused(ask(api), status, code)
    assert message in (ANY, body["message"])
    assert details in (ANY, body["details"])


def test_not_deployed_is_worth_a_retry_after_five_seconds_while_tokens_are_still_answered(api: Api) -> None:
    api.position(1, 1, 0)
    token = api.token()
    api.set_pipeline("Stopped")
    assert api.stats().headers["Retry-After"] == "5"
    assert api.issue().headers["Retry-After"] == "5"
    assert api.check(token).status_code == 202


def test_a_lost_token_is_told_both_epochs(api: Api) -> None:
    message = token_lost(api).get_json()["message"]
    assert "epoch 1 " in message
    assert "epoch 2" in message


def test_a_stale_report_is_told_the_current_version(api: Api) -> None:
    assert stale(api).headers["ETag"] == '"2"'


def test_a_wrong_method_is_told_the_right_ones(api: Api) -> None:
    response = api.request("POST", STATS, json={})
    assert {"GET", "HEAD", "PUT"} <= {method.strip() for method in response.headers["Allow"].split(",")}
    assert api.request("HEAD", f"{ORDERS}/completion_token").headers["Allow"] == "GET"


def test_a_bad_credential_is_told_the_scheme(app: Any) -> None:
    response = Api(app, "tmk_wrong").stats()
    refused(response, 401, "AuthenticationFailed")
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_low_role_is_told_the_one_it_needs(make_api: Callable[..., Api]) -> None:
    body = refused(make_api(Role.READ).issue(), 403, "InsufficientPermissions")
    assert body["details"] == {"required": "write", "actual": "read"}
