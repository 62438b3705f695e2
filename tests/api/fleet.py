"""Fleets of connectors, and the requests for them."""

import json
from typing import Any

from tests.api.client import Api

FLEET = "/v0/connectors"
WAITS = {"received": 9, "completed": 3}
DONE = {"received": 9, "completed": 9}


def path(name: str, pipeline: str = "demo", table: str = "orders") -> str:
    return f"/v0/pipelines/{pipeline}/tables/{table}/connectors/{name}"


def report(api: Api, name: str, *positions: Any, pipeline: str = "demo", table: str = "orders", **fields: Any) -> None:
    """Makes a connector by a report of each position, the last of which has the fields too."""
    for version, position in enumerate(positions or (DONE,)):
        last = version == len(positions or (DONE,)) - 1
        body = {"position": position} | (fields if last else {})
        assert api.report(body, version, path(name, pipeline, table)).status_code in (201, 204)


def listed(api: Api, **query: Any) -> list[Any]:
    response = api.get(FLEET, query_string=query)
    assert (response.status_code, response.content_type) == (200, "application/json"), response.text
    document = json.loads(response.get_data())
    assert list(document) == ["connectors", "next"]
    connectors: list[Any] = document["connectors"]
    return connectors


def names(api: Api, **query: Any) -> list[str]:
    return [each["connector"] for each in listed(api, **query)]
