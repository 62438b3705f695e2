"""flask-smorest's blueprint, with this application's body reader and with errors documented by example."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import flask_smorest
import marshmallow as ma
from flask import Response
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app.api.body import JsonParser
from app.api.errors import http_members, members, status_of
from app.api.schemas import ErrorSchema
from app.domain.errors import (
    AuthenticationFailed,
    InsufficientPermissions,
    MalformedBody,
    ServiceUnavailable,
    TidemarkError,
)
from app.domain.roles import Role

F = TypeVar("F", bound=Callable[..., Any])


class Blueprint(flask_smorest.Blueprint):
    """A blueprint for one resource.

    flask-smorest wraps a view once for each thing said of it. Here what only documents does just that, and a request
    passes none of it: a dozen calls less for a view that is called thousands of times a second.
    """

    ARGUMENTS_PARSER = JsonParser()

    def arguments(self, schema: type[ma.Schema], **options: Any) -> Callable[[F], F]:
        """flask-smorest's, of one instance: webargs would make a schema for each request, with all its fields."""
        return cast("Callable[[F], F]", super().arguments(schema(), **options))

    def doc(self, **options: Any) -> Callable[[F], F]:
        """flask-smorest's, for the documentation only."""
        return _saying(super().doc(**options))

    def alt_response(self, *arguments: Any, **options: Any) -> Callable[[F], F]:
        """flask-smorest's, for the documentation only."""
        return _saying(super().alt_response(*arguments, **options))

    def response(self, *arguments: Any, **options: Any) -> Callable[[F], F]:
        """flask-smorest's; of a view that returns a `Response`, complete as it is, for the documentation only."""
        dumping = super().response(*arguments, **options)

        def decorate(view: F) -> F:
            returned = inspect.signature(view).return_annotation
            complete = isinstance(returned, type) and issubclass(returned, Response)
            return _saying(dumping)(view) if complete else cast("F", dumping(view))

        return decorate

    def route(self, rule: str, **options: Any) -> Callable[[F], F]:
        """flask-smorest's; the operation is named for its view."""

        def register(view: F) -> F:
            super(Blueprint, self).route(rule, **options)(self.doc(operationId=view.__name__)(view))
            return view

        return register

    def refuses(self, role: Role | None, *errors: TidemarkError) -> Callable[[F], F]:
        """Documents the errors an operation answers with, an example of each; None: nobody is asked who he is.

        A role adds what every route behind a credential may answer, and MalformedBody what every body may be
        answered with.
        """
        by_status: dict[int, dict[str, Any]] = defaultdict(dict)
        for status, body in _answers(role, errors):
            by_status[status][body["error_code"]] = {"value": body}

        def document(view: F) -> F:
            for status, examples in by_status.items():
                view = self.alt_response(
                    status, schema=ErrorSchema, description=", ".join(examples), examples=examples
                )(view)
            return view if role else self.doc(security=[])(view)

        return document


def _saying(decorator: Callable[[Any], Any]) -> Callable[[F], F]:
    """The decorator, of which only what it says of the view is kept."""

    def decorate(view: F) -> F:
        view._apidoc = decorator(view)._apidoc  # type: ignore[attr-defined]  # flask-smorest's place for it
        return view

    return decorate


def _answers(role: Role | None, errors: Iterable[TidemarkError]) -> Iterator[tuple[int, dict[str, Any]]]:
    guards: list[TidemarkError] = [AuthenticationFailed(), ServiceUnavailable()] if role else []
    if role and role is not Role.READ:  # which every credential may
        guards.append(InsufficientPermissions(required=role.value, actual=Role.READ.value))
    for error in (*guards, *errors):
        yield status_of(error), members(error)
        if isinstance(error, MalformedBody):
            yield 413, http_members(RequestEntityTooLarge())
            yield 415, http_members(UnsupportedMediaType("Send the body as Content-Type: application/json"))
