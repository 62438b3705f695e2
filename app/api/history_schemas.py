"""The JSON documents of history. They are made by ``app/api/history_json.py``; a test holds the two equal."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.api.history_json import POINT_COLUMNS
from app.api.history_query import KINDS
from app.api.json_fields import Count, Time
from app.domain.chart import Resolution

_FLOATS = ("_seconds", "_per_second", "_avg", "_min", "_p50", "_p95", "_max")


def _member(name: str) -> fields.Field[Any]:
    if name == "at":
        return Time(required=True, metadata={"description": "When the step begins."})
    is_float = name.endswith(_FLOATS) and not (name.startswith("lag_records") and not name.endswith("_avg"))
    kind: type[fields.Field[Any]] = fields.Float if is_float else fields.Integer
    return kind(required=True, allow_none=True)


PointSchema = ma.Schema.from_dict({name: _member(name) for name in POINT_COLUMNS}, name="PointSchema")


class HistorySchema(ma.Schema):
    """A connector's history; docs/history.md tells what the members of its points mean."""

    pipeline = fields.String(required=True)
    table = fields.String(required=True)
    connector = fields.String(required=True)
    from_ = Time(required=True, data_key="from", metadata={"description": "Inclusive; a multiple of the step."})
    to = Time(required=True, metadata={"description": "Exclusive; a multiple of the step."})
    step = Count(required=True, metadata={"description": "Seconds."})
    resolution = fields.String(required=True, validate=validate.OneOf([each.value for each in Resolution]))
    points = fields.List(fields.Nested(PointSchema), required=True)


class ErrorOrGapSchema(ma.Schema):
    """An error, or the errors from one index to another, both inclusive, that were counted and are not kept."""

    index = Count()
    timestamp = Time()
    tag = fields.String(allow_none=True)
    message = fields.String()
    missing_from = Count()
    missing_to = Count()


class ErrorsSchema(ma.Schema):
    """A connector's errors."""

    parse_errors = fields.List(fields.Nested(ErrorOrGapSchema), required=True)
    transport_errors = fields.List(fields.Nested(ErrorOrGapSchema), required=True)


class EventSchema(ma.Schema):
    """A transition of a connector."""

    pipeline = fields.String(required=True)
    table = fields.String(required=True)
    connector = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    version = Count(required=True)
    at = Time(required=True)
    details = fields.Dict(required=True)


class EventsSchema(ma.Schema):
    """A page of transitions."""

    events = fields.List(fields.Nested(EventSchema), required=True)
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "The next page, relative to this one; null: the end."}
    )
