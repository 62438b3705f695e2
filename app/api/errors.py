"""Errors as answers: one table from a domain error to its status, and one JSON shape for everything.

{"message": for people, "error_code": for programs, "details": an object or null}
"""

import logging
from typing import Any

from flask import Flask, Response, g, json, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

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
    return _members(_told(error), error.name.replace(" ", ""), None)


def register(app: Flask) -> None:
    """Answers every error of the application in the one shape."""
    app.register_error_handler(TidemarkError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def _told(error: HTTPException) -> str:
    """What to do about it, where Flask's own words are for people who have typed a URL into a browser."""
    if isinstance(error, NotFound):
        return "Nothing is at this path, or not with a slash at its end: /docs/ and /openapi.json tell what there is."
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        return f"This path takes no other methods than {', '.join(sorted(error.valid_methods))}."
    return error.description or error.name


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
        g.failed = not isinstance(error, errors.PipelineInteractionNotDeployed)  # which is as it should be
    elif isinstance(error, errors.AuthenticationFailed | errors.InsufficientPermissions):
        response.headers["WWW-Authenticate"] = _challenge(error)
    elif isinstance(error, errors.PreconditionFailed):
        response.set_etag(str(error.current_version))
    return response


def _challenge(error: errors.AuthenticationFailed | errors.InsufficientPermissions) -> str:
    """What to do about it (RFC 6750 §3). Who has sent no token at all is told of no error."""
    realm = 'Bearer realm="tidemark"'
    if isinstance(error, errors.InsufficientPermissions):
        told = "The role of the token is too low"
        return f'{realm}, error="insufficient_scope", error_description="{told}", scope="{error.required}"'
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return realm
    return f'{realm}, error="invalid_token", error_description="The token is malformed, unknown, revoked or expired"'


def _answer_http(error: HTTPException) -> Response:
    """Flask's own refusals: no such route, wrong method, a body too large and the like."""
    original = error.get_response()
    response = _json(http_members(error), original.status_code)
    response.headers.extend((name, value) for name, value in original.headers if not name.startswith("Content-"))
    return response


def _answer_unexpected(error: Exception) -> Response:
    """A defect. The log tells where (see app/logs.py)."""
    log.error("unexpected error", exc_info=error)
    return _json(_members("Internal server error", "InternalServerError", None), 500)
