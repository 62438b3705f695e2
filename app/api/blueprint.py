"""flask-smorest's blueprint, with this application's body reader and with errors documented by example."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import flask_smorest
import marshmallow as ma
from flask import Request, Response, request
from werkzeug.exceptions import NotFound, RequestEntityTooLarge, UnsupportedMediaType

from app.api import query
from app.api.body import JsonParser
from app.api.document import path_parameters
from app.api.errors import http_members, members, status_of
from app.api.schemas import ErrorSchema
from app.domain.errors import (
    AuthenticationFailed,
    IdentityProviderUnavailable,
    InsufficientPermissions,
    InvalidParam,
    MalformedBody,
    ServiceUnavailable,
    TidemarkError,
)
from app.domain.roles import Role

_UNKNOWN_PARAMETER = InvalidParam("colour: there is no such parameter")

F = TypeVar("F", bound=Callable[..., Any])


class Blueprint(flask_smorest.Blueprint):
    """A blueprint for one resource.

    flask-smorest wraps a view once for each thing said of it. Here what only documents does just that, and a request
    passes none of it: a dozen calls less for a view that is called thousands of times a second.
    """

    ARGUMENTS_PARSER = JsonParser()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._queries: dict[str, query.Parameters | None] = {}  # by the endpoint; None: anything goes
        self.before_request(self._check_query)

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
        """flask-smorest's; the operation is named for its view, and what its path may hold is documented."""
        parameters = path_parameters(f"{self.url_prefix or ''}{rule}")

        def register(view: F) -> F:
            self._queries[f"{self.name}.{view.__name__}"] = _query_of(view)
            documented = _saying_not_found(self)(view) if parameters else view
            named = self.doc(operationId=view.__name__)(documented)
            super(Blueprint, self).route(rule, parameters=parameters, **options)(named)
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

    def _check_query(self) -> None:
        # The request itself: to ask its proxy costs more than all the rest.
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        if asked.environ.get("QUERY_STRING"):  # most have none
            known = self._queries[asked.endpoint or ""]
            if known is not None:
                query.check(asked, known)


def _saying(decorator: Callable[[Any], Any]) -> Callable[[F], F]:
    """The decorator, of which only what it says of the view is kept."""

    def decorate(view: F) -> F:
        view._apidoc = decorator(view)._apidoc  # type: ignore[attr-defined]  # flask-smorest's place for it
        return view

    return decorate


def _query_of(view: Callable[..., Any]) -> query.Parameters | None:
    """What its query may hold: as documented, and anything where nobody is asked who he is, for probes add to it."""
    said: dict[str, Any] = view._apidoc.get("manual_doc", {})  # type: ignore[attr-defined]  # flask-smorest's place
    return None if said.get("security") == [] else query.documented(said.get("parameters", ()))


def _saying_not_found(blueprint: Blueprint) -> Callable[[F], F]:
    """A path whose parameters cannot be told apart, for one holds a slash, is that of no operation."""
    body = http_members(NotFound())

    def decorate(view: F) -> F:
        if 404 in view._apidoc["response"]["responses"]:  # type: ignore[attr-defined]
            return view
        examples = {body["error_code"]: {"value": body}}
        return blueprint.alt_response(404, schema=ErrorSchema, description="NotFound", examples=examples)(view)

    return decorate


def _answers(role: Role | None, errors: Iterable[TidemarkError]) -> Iterator[tuple[int, dict[str, Any]]]:
    guards: list[TidemarkError] = []
    if role:
        guards += [AuthenticationFailed(), ServiceUnavailable(), IdentityProviderUnavailable(), _UNKNOWN_PARAMETER]
    if role and role is not Role.READ:  # which every credential may
        guards.append(InsufficientPermissions(required=role.value, actual=Role.READ.value))
    for error in (*guards, *errors):
        yield status_of(error), members(error)
        if isinstance(error, MalformedBody):
            yield 413, http_members(RequestEntityTooLarge())
            yield 415, http_members(UnsupportedMediaType("Send the body as Content-Type: application/json"))
