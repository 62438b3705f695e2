"""Generated bodies: never a 500, and what is refused changes nothing."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.connector_schemas import StatsSchema
from tests.api.client import FULL, REPORTS, Api, changed
from tests.api.conftest import Contents, Unchanged

ROUNDS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Surrogates and NUL included: JSON can spell them.
TEXTS = st.text(st.characters(), max_size=20)
EDGES = st.sampled_from([0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, 10**400, 1e308, -0.0, 1e-320, 0.1, "", "\0", "7"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | EDGES | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
PATHS = st.sampled_from(
    [
        *(list(FULL) + [f"metrics.{name}" for name in FULL["metrics"]] + ["position.epoch", "position.received"]),
        *("position.completed", "position.received.0", "position.completed.x", "health.status", "health.description"),
        *("parse_errors.0", "parse_errors.0.index", "parse_errors.0.tag", "parse_errors.0.message", "unknown"),
        *("parse_errors.0.timestamp", "transport_errors.0.tag", "completed_frontier.metadata"),
        *("completed_frontier.ingested_at", "completed_frontier.metadata.offsets"),
    ]
)


@st.composite
def reports(draw: st.DrawFn) -> Any:
    """A good report, up to three of whose members have any value at all."""
    report: Any = FULL
    for path in draw(st.lists(PATHS, max_size=3)):
        try:
            report = changed(report, path, draw(VALUES))
        except (TypeError, KeyError, IndexError):
            continue  # a value drawn before has no such place
    return report


ADDRESSES = st.fixed_dictionaries(
    {"table": st.just("orders") | VALUES, "connector": st.sampled_from(["billing", "audit"]) | VALUES},
    optional={"if_match": st.integers(0, 3) | VALUES},
)
ITEMS = st.builds(lambda address, report: {**report, **address}, ADDRESSES, reports()) | VALUES


@pytest.fixture
def api(api: Api) -> Api:
    """A client whose tenant has a connector at version 1."""
    assert api.report(FULL, 0).status_code == 201
    return api


@ROUNDS
@given(body=reports() | VALUES)
def test_any_report_is_recorded_or_changes_nothing(api: Api, unchanged: Unchanged, body: Any) -> None:
    before = api.stats().headers["ETag"]
    text = json.dumps(body)
    with unchanged():
        response = api.put(text, if_match='"0"')
        assert response.status_code in (400, 412, 422), response.text
    if response.status_code == 412:  # good but for its version
        response = api.put(text, if_match=before)
        assert response.status_code in (204, 409), response.text
        assert (api.stats().headers["ETag"] == before) is (response.status_code == 409)
        assert StatsSchema().validate(api.stats().get_json()) == {}


@ROUNDS
@given(items=st.lists(ITEMS, max_size=4) | VALUES)
def test_any_batch_is_answered_item_by_item_or_changes_nothing(api: Api, unchanged: Unchanged, items: Any) -> None:
    text = json.dumps(items)

    def send() -> Any:
        response = api.request("POST", REPORTS, data=text, content_type="application/json")
        assert response.status_code in (200, 400, 422), response.text
        return response.get_json() if response.status_code == 200 else []

    results = send()
    assert len(results) in (0, len(items) if isinstance(items, list) else 0)
    if not any("version" in result for result in results):
        with unchanged():
            assert send() == results


@ROUNDS
@given(
    body=VALUES
    | st.fixed_dictionaries({}, optional={"deployment_status": st.just("Paused") | VALUES, "unknown": VALUES})
    | st.fixed_dictionaries({}, optional={"name": VALUES, "role": st.just("read") | VALUES, "expires_at": VALUES})
)
@pytest.mark.parametrize(("method", "path"), [("PUT", "/v0/pipelines/demo"), ("POST", "/v0/api_keys")])
def test_any_other_body_is_accepted_or_changes_nothing(
    api: Api, contents: Contents, method: str, path: str, body: Any
) -> None:
    before = contents()
    response = api.request(method, path, data=json.dumps(body), content_type="application/json")
    if response.status_code >= 300:
        assert response.status_code in (400, 409, 422), response.text
        assert contents() == before
