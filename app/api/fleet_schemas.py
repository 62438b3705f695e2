"""The JSON document of the fleet. It is made by ``app/store/sql/read_fleet.sql``; a test holds the two equal."""

import marshmallow as ma
from marshmallow import fields, validate

from app.api.fleet_query import CHOICES
from app.api.json_fields import Count, Seconds, Time
from app.api.schemas import HealthSchema
from app.store.fleet import MAX_TEXT

_CUT = f"Its first {MAX_TEXT} characters; the stats tell it whole."


class FleetConnectorSchema(ma.Schema):
    """A connector, as its last report left it."""

    pipeline = fields.String(required=True)
    pipeline_status = fields.String(required=True, validate=validate.OneOf(["Running", "Paused", "Stopped"]))
    table = fields.String(required=True, metadata={"description": "In a URL, one with capitals goes in double quotes."})
    connector = fields.String(required=True)
    endpoint_name = fields.String(required=True)
    lifecycle = fields.String(required=True, validate=validate.OneOf(CHOICES["lifecycle"]))
    progress = fields.String(required=True, validate=validate.OneOf(CHOICES["progress"]))
    health = fields.Nested(HealthSchema, required=True, allow_none=True)
    fatal_error = fields.String(required=True, allow_none=True, metadata={"description": _CUT})
    lag_records = fields.Integer(required=True, allow_none=True, metadata={"description": "null: not known."})
    lag_seconds = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "How long the oldest input not completed has waited; null: not known."},
    )
    report_age_seconds = Count(required=True)
    recorded_at = Time(required=True, metadata={"description": "When the last report was recorded."})
    interval_seconds = Seconds(required=True, allow_none=True)
    not_reporting_since = Time(
        required=True, allow_none=True, metadata={"description": "Its last report, when more than three are missing."}
    )
    version = Count(required=True)
    epoch = fields.String(required=True, allow_none=True)
    epoch_number = Count(required=True)
    completed_version = Count(required=True)
    total_records = Count(required=True)
    buffered_records = Count(required=True)
    num_parse_errors = Count(required=True)
    num_transport_errors = Count(required=True)
    removed_at = Time(required=True, allow_none=True)


class FleetSchema(ma.Schema):
    """A page of the fleet."""

    connectors = fields.List(fields.Nested(FleetConnectorSchema), required=True)
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "The next page, relative to this one; null: the end."}
    )
