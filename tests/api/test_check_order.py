"""Which of several errors is answered, and what an answer about a token does not give away."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from time import sleep
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from app.config import AuthProvider
from app.domain.roles import Role
from app.domain.token import TokenId
from tests.api.client import PIPELINE, STATS, Api, forged, refused, sent
from tests.api.conftest import MakeApp, MakeKey

OTHER = f"{PIPELINE}/tables/orders/connectors/audit"

# Each case breaks everything that is checked later too.
ORDER: list[tuple[Role | None, str | None, Callable[[Api], TestResponse], int, str]] = [
    (None, None, lambda api: api.issue(), 401, "AuthenticationFailed"),
    (Role.READ, None, lambda api: api.issue(), 403, "InsufficientPermissions"),
    (Role.READ, None, sent("PUT", STATS, data="{"), 403, "InsufficientPermissions"),
    (Role.READ, None, lambda api: api.check("bad"), 404, "UnknownPipelineName"),
    (Role.READ, None, sent("GET", f"{PIPELINE}?selector=bad"), 404, "UnknownPipelineName"),
    (Role.READ, None, sent("GET", f"{PIPELINE}/stats?include_connector_errors=x"), 404, "UnknownPipelineName"),
    (Role.WRITE, "Stopped", lambda api: api.stats(OTHER), 404, "UnknownInputEndpoint"),
    (Role.WRITE, "Stopped", lambda api: api.issue(OTHER), 404, "UnknownInputEndpoint"),
    (Role.WRITE, "Stopped", lambda api: api.issue(), 503, "PipelineInteractionNotDeployed"),
    (Role.READ, "Stopped", sent("GET", f"{PIPELINE}/metrics?format=x"), 503, "PipelineInteractionNotDeployed"),
    (Role.READ, "Running", sent("GET", f"{PIPELINE}/metrics?format=x"), 400, "InvalidParam"),
    (Role.WRITE, "Running", lambda api: api.issue(), 409, "NoStreamPosition"),
]


@pytest.mark.parametrize(("role", "pipeline", "ask", "status", "code"), ORDER)
def test_checks_go_from_credential_over_role_existence_and_availability_to_parameters(
    app: Any,
    make_api: Callable[..., Api],
    role: Role | None,
    pipeline: str | None,
    ask: Callable[[Api], TestResponse],
    status: int,
    code: str,
) -> None:
    if pipeline:
        admin = make_api()
        admin.report({}, 0)
        admin.set_pipeline(pipeline)
    refused(ask(make_api(role) if role else Api(app)), status, code)


def test_a_token_unknown_or_of_another_pipeline_or_tenant_gets_the_same_bytes(
    api: Api, make_api: Callable[..., Api]
) -> None:
    other = make_api(tenant=uuid.uuid4().hex)
    for each in (api, other):
        each.position(1, 1, 0)
        each.set_pipeline("Running", "/v0/pipelines/other")
    token = api.token()
    answers = [api.check(forged(token)), api.check(token, "/v0/pipelines/other"), other.check(token)]
    refused(answers[0], 404, "UnknownCompletionToken")
    assert len({(each.status_code, each.get_data(), str(each.headers)) for each in answers}) == 1


def test_a_token_past_its_retention_is_gone_with_its_row_or_without(
    make_app: MakeApp, make_key: MakeKey, tenant: str
) -> None:
    app = make_app(auth_provider=AuthProvider.API_KEY, token_retention=timedelta(seconds=0.02))
    api = Api(app, make_key(tenant=tenant), tenant)
    api.position(0, 0, 0)
    token = api.token()
    sleep(0.03)
    with_row, without_row = api.check(token), api.check(forged(token))
    refused(with_row, 410, "CompletionTokenExpired")
    assert without_row.get_data() == with_row.get_data()


def test_a_token_so_old_that_its_row_went_is_expired_and_not_unknown(api: Api) -> None:
    api.position(1, 1, 0)
    token = TokenId.parse(api.token())
    sixty_days = 60 * 24 * 3600 * 1000 << 80
    old = TokenId(token.connector_id, UUID(int=token.id.int - sixty_days))
    refused(api.check(str(old)), 410, "CompletionTokenExpired")
