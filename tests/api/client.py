"""A client for the tests of the API, and what its answers are held against."""

import copy
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Flask
from werkzeug.test import TestResponse

from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.token import TokenId

PIPELINE = "/v0/pipelines/demo"
ORDERS = f"{PIPELINE}/tables/orders/connectors/billing"
STATS = f"{ORDERS}/stats"
REPORTS = f"{PIPELINE}/reports"

FULL: dict[str, Any] = {
    "position": {"epoch": "run-1", "received": {"0": 100, "1": 90}, "completed": {"0": 100, "1": 85}},
    "recording": "sampled",
    "interval_seconds": 60.5,
    "metrics": {
        "total_bytes": 4096,
        "total_records": 190,
        "buffered_records": 5,
        "buffered_bytes": 108,
        "num_transport_errors": 1,
        "num_parse_errors": 2,
        "end_of_input": True,
        "processing_latency_p99_micros": 1500,
    },
    "fatal_error": "the disk is full",
    "parse_errors": [
        {"timestamp": "2026-01-31T12:00:00.25Z", "index": 1, "tag": "json", "message": "no comma"},
        {"timestamp": "2026-01-31T13:00:01+01:00", "index": 2, "tag": None, "message": "no colon"},
    ],
    "transport_errors": [{"timestamp": "2026-01-31T12:00:02.000003Z", "index": 1, "tag": "io", "message": "reset"}],
    "health": {"status": "Unhealthy", "description": "no disk"},
    "paused": True,
    "barrier": True,
    "completed_frontier": {
        "metadata": {"offsets": [{"start": 0, "end": 100}]},
        "ingested_at": "2026-01-31T12:00:00Z",
        "processed_at": "2026-01-31T12:00:01.5Z",
        "completed_at": "2026-01-31T12:00:02.123456Z",
    },
}
"""A report in which every field has a value that is not its neutral one."""


def changed(document: Any, path: str, value: Any) -> Any:
    """A copy of the document with another value at the dotted path."""
    document = copy.deepcopy(document)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place = document
    for parent in parents:
        place = place[parent]
    place[last] = value
    return document


def refused(response: TestResponse, status: int, code: str) -> Any:
    """The error that was answered, found to be one of the one shape."""
    assert (response.status_code, response.content_type) == (status, "application/json"), response.text
    body = json.loads(response.get_data())
    assert list(body) == ["message", "error_code", "details"]
    assert body["error_code"] == code
    assert body["message"]
    assert isinstance(body["message"], str)
    assert body["details"] is None or isinstance(body["details"], dict)
    return body


class Api:
    """A client with a credential, and the requests that most tests make."""

    def __init__(self, app: Flask, key: str | None = None, tenant: str = DEFAULT_TENANT) -> None:
        self.app = app
        self.client = app.test_client(use_cookies=False)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.tenant_id = tenant_id(tenant)

    def request(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = self.headers | kwargs.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.request("GET", path, **kwargs)

    def stats(self, connector: str = ORDERS, **kwargs: Any) -> TestResponse:
        return self.get(f"{connector}/stats", **kwargs)

    def report(self, body: Any, if_match: int | None, connector: str = ORDERS) -> TestResponse:
        """Sends one report; None leaves If-Match out."""
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        return self.request("PUT", f"{connector}/stats", json=body, headers=headers)

    def put(self, body: str | bytes, if_match: str = '"1"', content_type: str = "application/json") -> TestResponse:
        """Sends what may be no report at all."""
        return self.request("PUT", STATS, data=body, content_type=content_type, headers={"If-Match": if_match})

    def position(
        self, received: Any, completed: Any, if_match: int, epoch: str | None = None, connector: str = ORDERS
    ) -> TestResponse:
        """Sends a report of just a position."""
        position = {"received": received, "completed": completed} | ({"epoch": epoch} if epoch else {})
        return self.report({"position": position}, if_match, connector)

    def batch(self, *items: Any, pipeline: str = PIPELINE) -> TestResponse:
        return self.request("POST", f"{pipeline}/reports", json=list(items))

    def set_pipeline(self, status: str, pipeline: str = PIPELINE) -> TestResponse:
        return self.request("PUT", pipeline, json={"deployment_status": status})

    def remove(self, connector: str = ORDERS) -> TestResponse:
        return self.request("DELETE", connector)

    def issue(self, connector: str = ORDERS) -> TestResponse:
        return self.get(f"{connector}/completion_token")

    def token(self, connector: str = ORDERS) -> str:
        """A new token."""
        response = self.issue(connector)
        assert response.status_code == 200, response.text
        return str(response.get_json()["token"])

    def check(self, token: str, pipeline: str = PIPELINE) -> TestResponse:
        return self.get(f"{pipeline}/completion_status", query_string={"token": token})


IN_PROGRESS = ("inprogress", None)


def status(api: Api, token: str) -> tuple[str, int | None]:
    """A token's status and step."""
    response = api.check(token)
    body = response.get_json()
    assert body.keys() == {"status", "step"}
    assert response.status_code == {"complete": 200, "inprogress": 202}[body["status"]]
    assert (body["step"] is None) is (body["status"] == "inprogress")
    return body["status"], body["step"]


def sent(method: str, path: str, **kwargs: Any) -> Callable[[Api], TestResponse]:
    """Sends a request when it is given a client."""
    return lambda api: api.request(method, path, **kwargs)


def forged(token: str) -> str:
    """A token of the same connector and moment that nobody issued."""
    real = TokenId.parse(token)
    return str(TokenId(real.connector_id, UUID(int=real.id.int ^ 1)))
