"""Request bodies: bytes become JSON in one strict way, for every operation that takes a body."""

import json
import math
from typing import Any, NoReturn

import marshmallow as ma
from flask import Request, request
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app.domain.errors import InvalidReport, MalformedBody

MAX_BODY = 4 * 1024 * 1024  # bytes
MAX_DEPTH = 32


def read_json(req: Request = request) -> Any:
    """The JSON value of the body.

    Raises UnsupportedMediaType for another content type, RequestEntityTooLarge from MAX_BODY on, and MalformedBody for
    what is not strict JSON in UTF-8: no NaN or Infinity, no number that Python or Postgres could not hold, no member
    twice, no NUL, no lone surrogate, no nesting deeper than MAX_DEPTH.
    """
    if req.mimetype != "application/json":
        raise UnsupportedMediaType("Send the body as Content-Type: application/json")
    raw = req.get_data()
    if len(raw) >= MAX_BODY:  # a body that does not tell its length is cut there, not refused (werkzeug)
        raise RequestEntityTooLarge
    try:
        value = json.loads(
            raw.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError:
        raise MalformedBody("The body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise MalformedBody(f"The body is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:  # an integer of thousands of digits, or one of the refusals below
        raise MalformedBody(f"The body is not acceptable: {error}") from None
    try:
        _check(value, MAX_DEPTH)
    except _BadText as bad:
        place = ascii(".".join(bad.place)[:100])[1:-1] or "The body"
        raise MalformedBody(f"{place} holds a NUL or a lone surrogate, which no text may") from None
    return value


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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a member twice")
    return members


def _check(value: Any, depth: int) -> None:
    """Raises MalformedBody for nesting deeper than ``depth``, and _BadText for text that Postgres could not hold."""
    if depth < 0:
        raise MalformedBody(f"The body is nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list | dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str):
                _check_text(key)
            try:
                _check(item, depth - 1)
            except _BadText as bad:
                bad.place.insert(0, str(key))
                raise


class _BadText(Exception):
    """Text that holds a NUL or a lone surrogate; ``place`` is the way to it, filled in on the way up."""

    def __init__(self) -> None:
        self.place: list[str] = []


def _check_text(text: str) -> None:
    try:
        text.encode()  # what cannot be encoded is a lone surrogate
    except UnicodeEncodeError:
        raise _BadText from None
    if "\0" in text:
        raise _BadText
