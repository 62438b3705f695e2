"""The JSON documents of a connector: its status, in the parts that a report brings and its stats show."""

import re
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.api.json_fields import Count, Flag, PositionField, Seconds, Time
from app.api.schemas import HealthSchema
from app.api.stats_json import dump
from app.domain.status import MAX_METADATA, MAX_METADATA_DEPTH, CompletedFrontier, Metrics, Recording
from app.domain.strict_json import depth_exceeds

_EXPONENTS = re.compile(rb"[0-9]e[+-]?[0-9]{2}")
_MOST_ZEROS = 308  # which Postgres keeps for an exponent: 1e300 takes 301 digits, of whoever reads it, too


class MetricsSchema(ma.Schema):
    """A connector's counters."""

    total_bytes = Count(load_default=0)
    total_records = Count(load_default=0)
    buffered_records = Count(load_default=0)
    buffered_bytes = Count(load_default=0)
    num_transport_errors = Count(load_default=0)
    num_parse_errors = Count(load_default=0)
    end_of_input = Flag(load_default=False)
    processing_latency_p99_micros = Count(metadata={"description": "Left out until known."})

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Metrics:
        return Metrics(**data)


class ConnectorErrorSchema(ma.Schema):
    """A parse or transport error."""

    timestamp = Time(required=True)
    index = Count(required=True, least=1, metadata={"description": "The error counter, this error counted."})
    tag = fields.String(load_default=None, allow_none=True, validate=validate.Length(1, 255))
    message = fields.String(required=True, metadata={"description": "Cut in its middle to 8 KiB."})


def _check_metadata(metadata: Any) -> None:
    text = dump(metadata).rstrip()
    brackets = text.count(b"[") + text.count(b"{")  # most have few, and need not be looked through
    if brackets > MAX_METADATA_DEPTH and depth_exceeds(metadata, MAX_METADATA_DEPTH):
        raise ma.ValidationError(f"is nested more than {MAX_METADATA_DEPTH} deep", "metadata")
    if len(text) + _MOST_ZEROS * len(_EXPONENTS.findall(text)) > MAX_METADATA:
        raise ma.ValidationError(f"is longer than {MAX_METADATA} bytes of JSON", "metadata")


class CompletedFrontierSchema(ma.Schema):
    """The newest input that the engine has completed, in its own terms."""

    metadata = fields.Raw(
        required=True,
        allow_none=True,
        metadata={
            "description": f"Any JSON, up to {MAX_METADATA // 1024} KiB and {MAX_METADATA_DEPTH} deep.",
            "example": {"sequence_numbers": {"end": 10}},
        },
    )
    ingested_at = Time(required=True)
    processed_at = Time(required=True)
    completed_at = Time(required=True)

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> CompletedFrontier:
        _check_metadata(data["metadata"])
        return CompletedFrontier(**data)


class RecordedSchema(ma.Schema):
    """What Tidemark adds to the dialect's stats: the record itself."""

    version = Count(required=True)
    recorded_at = Time(required=True)
    recording = fields.Enum(Recording, by_value=True, required=True)
    interval_seconds = Seconds(required=True, allow_none=True)
    epoch = fields.String(required=True, allow_none=True)
    epoch_number = Count(required=True)
    received = PositionField(required=True, allow_none=True)
    completed = PositionField(required=True, allow_none=True)
    completed_version = Count(required=True)
    lag_records = fields.Integer(required=True, allow_none=True, metadata={"description": "null: not known."})
    lag_seconds = fields.Float(required=True, allow_none=True, metadata={"description": "As of recorded_at."})


class StreamSchema(ma.Schema):
    """The part of a connector's configuration that is known."""

    stream = fields.String(required=True)


class PipelineInputSchema(ma.Schema):
    """A connector within its pipeline's stats, which leave the errors out unless asked for them."""

    endpoint_name = fields.String(required=True)
    config = fields.Nested(StreamSchema, required=True)
    metrics = fields.Nested(MetricsSchema, required=True)
    fatal_error = fields.String(required=True, allow_none=True)
    parse_errors = fields.List(fields.Nested(ConnectorErrorSchema))
    transport_errors = fields.List(fields.Nested(ConnectorErrorSchema))
    health = fields.Nested(HealthSchema, required=True, allow_none=True)
    paused = Flag(required=True)
    barrier = Flag(required=True)
    completed_frontier = fields.Nested(CompletedFrontierSchema, required=True, allow_none=True)
    recorded = fields.Nested(RecordedSchema, required=True)


class StatsSchema(PipelineInputSchema):
    """A connector's stats."""

    parse_errors = fields.List(fields.Nested(ConnectorErrorSchema), required=True)
    transport_errors = fields.List(fields.Nested(ConnectorErrorSchema), required=True)
