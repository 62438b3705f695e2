"""Explanations of tokens, for the tests of what they tell."""

import json
from datetime import datetime
from typing import Any

from werkzeug.test import TestResponse

from app.api.explanation_schemas import ExplanationSchema, HoldingBackSchema
from tests.api.client import Api


def ask(api: Api, token: str) -> TestResponse:
    return api.get(f"/v0/completion_tokens/{token}")


def explained(api: Api, token: str) -> dict[str, Any]:
    """The explanation, found to be what is documented and to tell what completion_status does."""
    response = ask(api, token)
    assert (response.status_code, response.content_type) == (200, "application/json"), response.text
    assert response.headers["Cache-Control"] == "no-store"
    assert "X-Accel-Expires" not in response.headers
    document: dict[str, Any] = json.loads(response.get_data())
    assert list(document) == list(ExplanationSchema().fields)
    assert ExplanationSchema().validate(document) == {}
    status = api.check(token)
    if document["status"] == "lost":
        assert (status.status_code, status.get_json()) == (410, document["error"])
    else:
        assert (status.get_json()["status"], document["error"]) == (document["status"], None)
    return document


def held(api: Api, token: str) -> dict[str, Any]:
    """What holds the token back."""
    document = explained(api, token)
    assert (document["status"], document["completed_after"], document["completed_by"]) == ("inprogress", None, None)
    holding: dict[str, Any] = document["holding_back"]
    assert list(holding) == list(HoldingBackSchema().fields)
    assert holding["eta"] is None or holding["eta"]["seconds"] >= 0
    return holding


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def waiting(api: Api, *, issued_at_version: int = 1, received: Any = 100, completed: Any = 40) -> str:
    """A token whose connector has had just the reports since that bind it."""
    for version in range(issued_at_version):
        api.position(received, completed, version)
    token = api.token()
    for version in (issued_at_version, issued_at_version + 1):
        api.position(received, completed, version)
    return token
