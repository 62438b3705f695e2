"""Queries: every operation takes the parameters that it documents and no others, and none of two values wins."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from tests.api.client import Api, refused
from tests.api.test_openapi import OPERATIONS

PATHS = {"pipeline": "demo", "table": "orders", "connector": "billing", "name": "dashboard", "token": "ct1_"}
GUARDED = [name for name, operation in OPERATIONS.items() if "security" not in operation]
OPEN = [name for name in OPERATIONS if name not in GUARDED]


def queried(name: str) -> list[dict[str, Any]]:
    """The parameters of an operation's query."""
    return [each for each in OPERATIONS[name].get("parameters", []) if each["in"] == "query"]


ONCE = [(name, each) for name in OPERATIONS for each in queried(name) if each["schema"].get("type") != "array"]
OFTEN = [(name, each) for name in OPERATIONS for each in queried(name) if each["schema"].get("type") == "array"]


def ask(api: Api, name: str, query: list[tuple[str, Any]]) -> TestResponse:
    method, path = name.split()
    body: Any = {} if "requestBody" in OPERATIONS[name] else None
    filled = re.sub(r"{(\w+)}", lambda match: PATHS.get(match[1], "x"), path)
    return api.request(method.upper(), f"{filled}?{urlencode(query)}", json=body)


@pytest.mark.parametrize("name", GUARDED)
@pytest.mark.parametrize("unknown", ["colour", "", "Token", "token[]", "x" * 5000, "\0", "\ud800", "Zürich"])
def test_a_parameter_that_there_is_not_is_refused_by_name(api: Api, name: str, unknown: str) -> None:
    body = refused(ask(api, name, [(unknown.encode(errors="replace").decode(), "1")]), 400, "InvalidParam")
    assert "there is no such parameter" in body["details"]["error"]
    assert len(body["message"]) < 500


@pytest.mark.parametrize(("name", "parameter"), ONCE)
def test_a_parameter_given_twice_is_refused_by_name(api: Api, name: str, parameter: dict[str, Any]) -> None:
    same = parameter["name"], parameter["example"]
    error = refused(ask(api, name, [same, same]), 400, "InvalidParam")["details"]["error"]
    assert error == f"{parameter['name']}: is given 2 times; give it once"


@pytest.mark.parametrize(("name", "parameter"), OFTEN)
def test_a_list_may_be_given_in_several(api: Api, name: str, parameter: dict[str, Any]) -> None:
    (value,) = parameter["example"]
    response = ask(api, name, [(parameter["name"], value)] * 2)
    assert response.status_code in (200, 404), response.text  # 404: there is no such pipeline
    response.close()


@pytest.mark.parametrize("name", OPEN)
def test_where_nobody_is_asked_who_he_is_a_probe_may_add_what_it_likes(api: Api, name: str) -> None:
    assert ask(api, name, [("at", "7"), ("at", "8")]).status_code == 200


def test_who_has_no_credential_is_told_nothing_of_parameters(api: Api) -> None:
    api.headers = {}
    refused(ask(api, GUARDED[0], [("colour", "1")]), 401, "AuthenticationFailed")
