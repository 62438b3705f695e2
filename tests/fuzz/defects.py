"""Defects to be planted into the application, one of each kind that a check of the fuzzing must find."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from flask import Flask, Response

from app.api import fleet_query
from app.store import keys

Plant = Callable[[Flask], AbstractContextManager[object]]


@dataclass(frozen=True)
class Defect:
    """A defect, and the check that has to find it in an operation."""

    check: str
    operation: str  # by its id
    plant: Plant


@contextmanager
def planted(app: Flask, defects: Sequence[Defect]) -> Iterator[None]:
    """A block in which the application has the defects."""
    with ExitStack() as stack:
        for defect in defects:
            stack.enter_context(defect.plant(app))
        yield


def _answers(endpoint: str, spoil: Callable[[Response], None]) -> Plant:
    """Spoils all answers of an endpoint's view."""

    def plant(app: Flask) -> AbstractContextManager[object]:
        view: Callable[..., Any] = app.view_functions[endpoint]

        def spoilt(**arguments: str) -> Response:
            response = app.make_response(view(**arguments))
            spoil(response)
            return response

        return patch.dict(app.view_functions, {endpoint: spoilt})

    return plant


def _fails(response: Response) -> None:
    raise RuntimeError("planted")


def _is_html(response: Response) -> None:
    response.content_type = "text/html"


def _is_a_teapot(response: Response) -> None:
    response.status_code = 418


def _has_numbers_for_roles(response: Response) -> None:
    response.set_data(response.get_data().replace(b'"admin"', b"7"))


def _is_unavailable(response: Response) -> None:
    response.status_code, response.content_type = 503, "application/json"
    response.set_data(b'{"message": "", "error_code": "ServiceUnavailable", "details": null}')


def _has_no_limit(_: Flask) -> AbstractContextManager[object]:
    return patch.dict(fleet_query._PARAMETERS, limit=lambda values: int(values[0]))


def _tells_of_a_key(connection: object, tenant: object, new: keys.NewKey) -> keys.KeyRecord:
    """As `keys.add`, but there is none."""
    return keys.KeyRecord(
        id=new.id,
        name=new.name,
        role=new.role,
        created_at=datetime.now(UTC),
        last_used_at=None,
        expires_at=new.expires_at,
    )


OF_ONE_REQUEST = (
    Defect("not_a_server_error", "list_pipelines", _answers("pipelines.list_pipelines", _fails)),
    Defect("content_type_conformance", "read_config", _answers("service.read_config", _is_html)),
    Defect("status_code_conformance", "read_cluster_health", _answers("service.read_cluster_health", _is_a_teapot)),
    Defect("response_schema_conformance", "list_api_keys", _answers("api_keys.list_api_keys", _has_numbers_for_roles)),
    Defect("unavailable", "read_metrics", _answers("service.read_metrics", _is_unavailable)),
    Defect("negative_data_rejection", "list_connectors", _has_no_limit),
)
OF_SEVERAL_REQUESTS = (
    Defect("use_after_free", "delete_api_key", lambda _: patch.object(keys, "revoke")),
    Defect("ensure_resource_availability", "create_api_key", lambda _: patch.object(keys, "add", _tells_of_a_key)),
)
API_KEYS = ("create_api_key", "read_api_key", "delete_api_key")
"""The operations that show them together."""
