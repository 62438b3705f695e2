"""The OpenAPI document, held against the rules that it has to keep and against the application."""

import re
from typing import Any

import pytest
from flask import Flask
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api.auth import ROLES
from app.api.errors import STATUS
from app.config import Config
from app.domain.roles import Role
from app.factory import create_app

METHODS = ("get", "put", "post", "delete", "head", "options", "patch", "trace")


def document() -> Any:
    """The document; it is the same whatever the database."""
    app = create_app(Config(database_url="postgresql+psycopg://nobody@localhost/nothing"))
    return app.test_client().get("/openapi.json").get_json()


DOCUMENT = document()
OPERATIONS: dict[str, Any] = {
    f"{method} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}
RESPONSES = {
    f"{name} {status}": response for name, each in OPERATIONS.items() for status, response in each["responses"].items()
}
WITHOUT_BODY = ("204", "304")
BODIES = {name: each["requestBody"] for name, each in OPERATIONS.items() if "requestBody" in each}

every_operation = pytest.mark.parametrize("name", OPERATIONS)


def endpoint(app: Flask, name: str) -> str:
    """The endpoint of an operation."""
    method, path = name.split()
    url = re.sub(r"{\w+}", "x", path)
    found, _ = app.url_map.bind("localhost").match(url, method=method.upper())
    return str(found)


def examples(media: dict[str, Any]) -> list[Any]:
    """All examples of a media type."""
    return [media["example"]] if "example" in media else [each["value"] for each in media["examples"].values()]


def validator(schema: dict[str, Any]) -> OAS31Validator:
    return OAS31Validator({**schema, "components": DOCUMENT["components"]})


def test_the_document_is_valid_openapi_3_0_3() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_every_route_is_documented(app: Flask) -> None:
    undocumented = {"api-docs.openapi_json", "docs.show"}
    assert {endpoint(app, name) for name in OPERATIONS} == ROLES.keys() - undocumented


@every_operation
def test_a_description_begins_with_the_role_that_the_route_asks_for(app: Flask, name: str) -> None:
    role = ROLES[endpoint(app, name)]
    line = f"Required role: `{role.value}` or higher." if role else "Required role: none."
    assert OPERATIONS[name]["description"].startswith(line)
    assert OPERATIONS[name]["summary"]


def test_operation_ids_are_there_and_unique() -> None:
    ids = [operation.get("operationId") for operation in OPERATIONS.values()]
    assert all(isinstance(each, str) for each in ids)
    assert len(set(ids)) == len(ids)


@every_operation
def test_an_operation_documents_what_every_guarded_route_may_answer(app: Flask, name: str) -> None:
    statuses = set(OPERATIONS[name]["responses"])
    assert any(status.startswith("2") for status in statuses)
    role = ROLES[endpoint(app, name)]
    if role is None:
        assert not statuses & {"401", "403"}
        assert OPERATIONS[name]["security"] == []
    else:
        assert {"400", "401", "503"} <= statuses
        assert ("403" in statuses) is (role is not Role.READ)  # every credential may read
        assert "security" not in OPERATIONS[name]
    if "requestBody" in OPERATIONS[name]:
        assert {"400", "413", "415", "422"} <= statuses


@pytest.mark.parametrize("name", RESPONSES)
def test_every_answer_has_examples_of_its_schema(name: str) -> None:
    response = RESPONSES[name]
    assert response["description"]
    if name.endswith(WITHOUT_BODY):
        assert "content" not in response
        return
    for media in response["content"].values():
        assert examples(media)
        for example in examples(media):
            assert list(validator(media["schema"]).iter_errors(example)) == []


@pytest.mark.parametrize("name", [name for name in RESPONSES if name.split()[-1] >= "400"])
def test_every_error_has_the_one_shape_and_an_example_of_each_code(name: str) -> None:
    (media,) = RESPONSES[name]["content"].values()
    assert media["schema"] == {"$ref": "#/components/schemas/Error"}
    for code, example in media["examples"].items():
        assert list(example["value"]) == ["message", "error_code", "details"]
        assert example["value"]["error_code"] == code


@pytest.mark.parametrize("name", BODIES)
def test_every_body_has_an_example_of_its_schema(name: str) -> None:
    media = BODIES[name]["content"]["application/json"]
    assert BODIES[name]["required"] is True
    for example in examples(media):
        assert list(validator(media["schema"]).iter_errors(example)) == []


@pytest.mark.parametrize("name", BODIES)
def test_a_body_with_an_unknown_member_is_none_of_the_schema(name: str) -> None:
    media = BODIES[name]["content"]["application/json"]
    example = examples(media)[0]
    spoilt = [each | {"unknown": 1} for each in example] if isinstance(example, list) else example | {"unknown": 1}
    assert list(validator(media["schema"]).iter_errors(spoilt))


def test_every_status_that_an_error_can_have_is_documented_somewhere() -> None:
    assert {str(status) for status in STATUS.values()} <= {name.split()[-1] for name in RESPONSES}


@every_operation
def test_every_parameter_is_described_with_an_example(name: str) -> None:
    path = name.split()[1]
    parameters = OPERATIONS[name].get("parameters", []) + DOCUMENT["paths"][path].get("parameters", [])
    assert {each["name"] for each in parameters if each["in"] == "path"} == set(re.findall(r"{(\w+)}", path))
    for each in parameters:
        if each["in"] != "path":
            assert each["description"]
            assert list(validator(each["schema"]).iter_errors(each["example"])) == []


def test_the_documentation_loads_nothing_from_anywhere_else(app: Flask) -> None:
    client = app.test_client()
    redirect = client.get("/docs")
    assert (redirect.status_code, redirect.headers["Location"].endswith("/docs/")) == (308, True)
    with client.get("/docs/", headers={"Host": "evil.example"}) as page:
        assert page.content_type.startswith("text/html")
        html = page.get_data(as_text=True)
    assert "evil.example" not in html
    resources = re.findall(r"""(?:src|href|url)"?\s*[=:]\s*["']([^"']+)""", html)
    assert "/openapi.json" in resources
    assert len(resources) >= 5
    for resource in resources:
        assert re.fullmatch(r"/[^/].*", resource), resource
        with client.get(resource) as response:
            assert response.status_code == 200
            assert response.get_data()


def test_no_style_of_the_documentation_loads_anything_from_anywhere_else(app: Flask) -> None:
    for style in ("index.css", "swagger-ui.css"):
        with app.test_client().get(f"/docs/{style}") as response:
            sources = re.findall(r"(?:@import|url\()\s*[\"']?([^\"')]+)", response.get_data(as_text=True))
        assert all(source.startswith("data:") for source in sources)
