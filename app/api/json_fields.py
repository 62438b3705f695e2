"""The kinds of JSON values there are in the documents, each as strict as its name: nothing is converted."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.domain.position import MAX_OFFSET, Position
from app.domain.status import parse_time

MAX_INTERVAL = 86400.0  # seconds


class Count(fields.Integer):
    """An integer from 0 to 2^63-1 unless told otherwise, written as one: no boolean, no text, no 1.0."""

    def __init__(self, *, least: int = 0, most: int = MAX_OFFSET, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(least, most), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool):
            raise self.make_error("invalid")
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number


class Flag(fields.Boolean):
    """true or false, and nothing that merely resembles them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Seconds(fields.Float):
    """A positive number of seconds, at most a day unless told otherwise."""

    def __init__(self, *, most: float = MAX_INTERVAL, zero: bool = False, **kwargs: Any) -> None:
        """``zero``: whether that is allowed."""
        super().__init__(validate=validate.Range(0, most, min_inclusive=zero), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        if isinstance(value, bool | str):
            raise self.make_error("invalid")
        number: float = super()._deserialize(value, attr, data, **kwargs)
        return number


class Time(fields.String):
    """An RFC 3339 timestamp with its time zone."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return parse_time(text)
        except ValueError as error:
            raise ma.ValidationError(str(error)) from None


class PositionField(fields.Field[Position]):
    """A stream position: an integer, or an object of component to integer. Offsets are exclusive "next" offsets."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Position:
        try:
            return Position.parse(value)
        except ValueError as error:
            raise ma.ValidationError(str(error)) from None
