"""The JSON documents of a pipeline."""

import marshmallow as ma
from marshmallow import fields, validate

from app.api.connector_schemas import PipelineInputSchema
from app.api.json_fields import Flag, Time


class PipelineSchema(ma.Schema):
    """A pipeline, as far as it is known."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    created_at = Time(required=True)
    deployment_status = fields.String(required=True)
    deployment_status_since = Time(required=True)
    program_info = fields.Raw(required=True, allow_none=True)


class PipelineStatusSchema(ma.Schema):
    """A pipeline's status, as its engine reports it."""

    deployment_status = fields.String(required=True, validate=validate.OneOf(["Running", "Paused", "Stopped"]))


class GlobalMetricsSchema(ma.Schema):
    """A pipeline's metrics: the sums over its connectors."""

    state = fields.String(required=True)
    incarnation_uuid = fields.UUID(required=True)
    start_time = fields.Integer(required=True, metadata={"description": "Seconds since 1970."})
    transaction_status = fields.String(required=True)
    total_input_records = fields.Integer(required=True)
    total_input_bytes = fields.Integer(required=True)
    buffered_input_records = fields.Integer(required=True)
    buffered_input_bytes = fields.Integer(required=True)
    total_processed_records = fields.Integer(required=True)
    pipeline_complete = Flag(required=True)


class PipelineStatsSchema(ma.Schema):
    """A pipeline's stats."""

    checkpoint_activity = fields.Raw(required=True, allow_none=True)
    global_metrics = fields.Nested(GlobalMetricsSchema, required=True)
    inputs = fields.List(fields.Nested(PipelineInputSchema), required=True)
    outputs = fields.List(fields.Raw(), required=True)
    permanent_checkpoint_errors = fields.Raw(required=True, allow_none=True)
    suspend_error = fields.Raw(required=True, allow_none=True)
