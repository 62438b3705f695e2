"""Errors as answers: one table from a domain error to its status, and one JSON shape for everything.

{"message": for people, "error_code": for programs, "details": an object or null}
"""

import logging
from typing import Any

from flask import Flask, Response, json
from werkzeug.exceptions import HTTPException

from app.api import denials
from app.domain import errors
from app.domain.errors import TidemarkError

log = logging.getLogger(__name__)

STATUS: dict[type[TidemarkError], int] = {
    errors.InvalidParam: 400,
    errors.MalformedBody: 400,
    errors.AuthenticationFailed: 401,
    errors.InsufficientPermissions: 403,
    errors.Unknown: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.InvalidReport: 422,
    errors.PreconditionRequired: 428,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
}
"""A class not listed has its base's status."""


def status_of(error: TidemarkError) -> int:
    """The HTTP status that an error is answered with."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def members(error: TidemarkError) -> dict[str, Any]:
    """An error's JSON members."""
    return _members(error.message, error.code, error.details)


def http_members(error: HTTPException) -> dict[str, Any]:
    """The JSON members of one of Flask's own refusals."""
    return _members(error.description or error.name, error.name.replace(" ", ""), None)


def register(app: Flask) -> None:
    """Answers every error of the application in the one shape."""
    app.register_error_handler(TidemarkError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def _members(message: str, code: str, details: Any) -> dict[str, Any]:
    return {"message": message, "error_code": code, "details": details}


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body, sort_keys=False) + "\n", status, mimetype="application/json")


def _answer(error: TidemarkError) -> Response:
    if isinstance(error, errors.AuthenticationFailed | errors.InsufficientPermissions):
        denials.note(error)
    response = _json(members(error), status_of(error))
    if isinstance(error, errors.Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    elif isinstance(error, errors.AuthenticationFailed):
        response.headers["WWW-Authenticate"] = 'Bearer realm="tidemark"'
    elif isinstance(error, errors.PreconditionFailed):
        response.set_etag(str(error.current_version))
    return response


def _answer_http(error: HTTPException) -> Response:
    """Flask's own refusals: no such route, wrong method, a body too large and the like."""
    original = error.get_response()
    if error.code is None or error.code < 400:  # a redirect is an answer, not an error
        return Response(original.get_data(), original.status, original.headers)
    response = _json(http_members(error), error.code)
    response.headers.extend((name, value) for name, value in original.headers if not name.startswith("Content-"))
    return response


def _answer_unexpected(error: Exception) -> Response:
    """A defect. The log tells where (see app/logs.py)."""
    log.error("unexpected error", exc_info=error)
    return _json(_members("Internal server error", "InternalServerError", None), 500)
