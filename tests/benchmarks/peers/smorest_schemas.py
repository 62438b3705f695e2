"""Peer (b)'s documents, dumped from its models by marshmallow."""

from datetime import datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields

from tests.benchmarks.peers import dialect


class ConfigSchema(ma.Schema):
    stream = fields.String()


class MetricsSchema(ma.Schema):
    total_bytes = fields.Integer()
    total_records = fields.Integer()
    buffered_records = fields.Integer()
    buffered_bytes = fields.Integer()
    num_transport_errors = fields.Integer()
    num_parse_errors = fields.Integer()
    end_of_input = fields.Boolean()
    processing_latency_p99_micros = fields.Integer()

    @ma.post_dump
    def leave_out_unknown(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if data["processing_latency_p99_micros"] is None:
            del data["processing_latency_p99_micros"]
        return data


class TimeField(fields.Field[datetime]):
    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else dialect.time_text(value)


class ConnectorErrorSchema(ma.Schema):
    timestamp = TimeField(attribute="occurred_at")
    index = fields.Integer()
    tag = fields.Function(lambda error: error.tag or None)
    message = fields.String()


class HealthSchema(ma.Schema):
    status = fields.String()
    description = fields.String()


class RecordedSchema(ma.Schema):
    version = fields.Integer()
    recorded_at = TimeField()
    recording = fields.String()
    interval_seconds = fields.Float()
    epoch = fields.String(attribute="epoch_label")
    epoch_number = fields.Integer()
    received = fields.Raw()
    completed = fields.Raw()
    completed_version = fields.Integer()
    lag_records = fields.Function(lambda row: dialect.lag_records(row.received, row.completed))
    lag_seconds = fields.Function(
        lambda row: dialect.lag_seconds(row.frontier[0][1] if row.frontier else None, row.recorded_at)
    )


class StatsSchema(ma.Schema):
    endpoint_name = fields.String()
    config = fields.Nested(ConfigSchema)
    metrics = fields.Nested(MetricsSchema)
    fatal_error = fields.String()
    parse_errors = fields.List(fields.Nested(ConnectorErrorSchema))
    transport_errors = fields.List(fields.Nested(ConnectorErrorSchema))
    health = fields.Nested(HealthSchema)
    paused = fields.Boolean()
    barrier = fields.Boolean()
    completed_frontier = fields.Raw()
    recorded = fields.Nested(RecordedSchema)


class TokenSchema(ma.Schema):
    token = fields.Function(lambda token: dialect.token_text(token.connector_id, token.id))


class CheckArguments(ma.Schema):
    token = fields.String(required=True)


class StatusSchema(ma.Schema):
    status = fields.String()
    step = fields.Integer()
