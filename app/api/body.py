"""Request bodies: bytes become JSON in one strict way, for every operation that takes a body."""

from typing import Any, NoReturn

import marshmallow as ma
from flask import Request, request
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app.domain import strict_json
from app.domain.errors import InvalidReport, MalformedBody

MAX_BODY = 4 * 1024 * 1024  # bytes


def read_json(req: Request = request) -> Any:
    """The JSON value of the body.

    Raises UnsupportedMediaType for another content type or charset, RequestEntityTooLarge from MAX_BODY on, and
    MalformedBody for a body that was cut off, or is not strict JSON (app/domain/strict_json.py).
    """
    if req.mimetype != "application/json" or req.mimetype_params.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType("Send the body as Content-Type: application/json")
    raw = req.get_data()
    if len(raw) >= MAX_BODY:  # a body that does not tell its length is cut there, not refused (werkzeug)
        raise RequestEntityTooLarge
    if len(raw) < (req.content_length or 0):
        raise MalformedBody("The body is shorter than its Content-Length")
    try:
        return strict_json.decode(raw)
    except strict_json.NotStrictJson as refused:
        raise MalformedBody(f"{refused.place or 'The body'} {refused}") from None


def load(schema: ma.Schema, value: Any) -> Any:
    """The value as the schema loads it; raises InvalidReport with the fields at fault in its details."""
    try:
        return schema.load(value)
    except ma.ValidationError as error:
        raise invalid(error) from None


def invalid(error: ma.ValidationError) -> InvalidReport:
    """The fields at fault, as an answer."""
    messages = error.messages_dict
    return InvalidReport(f"Invalid fields: {', '.join(_paths(messages))}", details=messages)


class JsonParser(FlaskParser):
    """webargs' parser, with this module's reading and this application's errors."""

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """The JSON value of the body."""
        return read_json(req)

    def handle_error(self, error: ma.ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises InvalidReport."""
        raise invalid(ma.ValidationError(error.messages_dict.get("json", error.messages)))


def _paths(messages: dict[str, Any], prefix: str = "") -> list[str]:
    paths = []
    for name, message in messages.items():
        path = prefix if name == "_schema" else f"{prefix}.{name}".lstrip(".")
        paths += _paths(message, path) if isinstance(message, dict) else [path or "the body"]
    return paths
