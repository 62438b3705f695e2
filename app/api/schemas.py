"""The JSON documents, as marshmallow schemas: they validate what is written, and document what is read.

Here is what several resources share; each has its own in a module of its name.
"""

from collections.abc import Callable
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.domain.errors import InvalidParam
from app.domain.status import Health

MAX_TEXT = 8192  # characters


class ErrorSchema(ma.Schema):
    """Every error answer."""

    message = fields.String(required=True, metadata={"description": "For people."})
    error_code = fields.String(required=True, metadata={"description": "For programs: stable."})
    details = fields.Dict(required=True, allow_none=True)


class HealthSchema(ma.Schema):
    """A connector's health."""

    status = fields.String(required=True, validate=validate.OneOf(["Healthy", "Unhealthy"]))
    description = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=MAX_TEXT))

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Health:
        return Health(healthy=data["status"] == "Healthy", description=data["description"])


def check_name(rule: Callable[[str], str], name: str) -> None:
    """Raises ValidationError for a name that the rule does not allow."""
    try:
        rule(name)
    except InvalidParam as error:
        raise ma.ValidationError(error.message.rpartition(": ")[2]) from None
