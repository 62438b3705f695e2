"""flask-smorest's blueprint, with this application's body reader and with errors documented by example."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import flask_smorest

from app.api.body import JsonParser
from app.api.errors import members, status_of
from app.api.schemas import ErrorSchema
from app.domain.errors import (
    AuthenticationFailed,
    InsufficientPermissions,
    ServiceUnavailable,
    TidemarkError,
)
from app.domain.roles import Role

F = TypeVar("F", bound=Callable[..., Any])


class Blueprint(flask_smorest.Blueprint):
    """A blueprint for one resource."""

    ARGUMENTS_PARSER = JsonParser()

    def refuses(self, role: Role | None, *errors: TidemarkError) -> Callable[[F], F]:
        """Documents the errors an operation answers with, an example of each.

        A role adds what every route behind a credential may answer: 401, 403 and 503.
        """
        if role is not None:
            denied = InsufficientPermissions(required=role.value, actual=Role.READ.value)
            errors = (AuthenticationFailed(), denied, *errors, ServiceUnavailable())
        by_status: dict[int, list[TidemarkError]] = defaultdict(list)
        for error in errors:
            by_status[status_of(error)].append(error)

        def document(view: F) -> F:
            for status, alike in by_status.items():
                examples = {error.code: {"value": members(error)} for error in alike}
                view = self.alt_response(
                    status, schema=ErrorSchema, description=", ".join(examples), examples=examples
                )(view)
            return view

        return document
