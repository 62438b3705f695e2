"""The JSON documents, as marshmallow schemas: they validate what is written, and document what is read."""

import re
from collections.abc import Callable
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.api import document
from app.api.json_fields import Count, Flag, PositionField, Seconds, Time
from app.api.stats_json import dump
from app.domain import names
from app.domain.connector import Report, StreamPosition
from app.domain.errors import InvalidParam
from app.domain.roles import Role
from app.domain.status import (
    MAX_ERRORS_OF_A_KIND,
    MAX_METADATA,
    MAX_METADATA_DEPTH,
    CompletedFrontier,
    ConnectorError,
    ErrorKind,
    Health,
    Metrics,
    Recording,
    Status,
    cut_message,
)
from app.domain.strict_json import depth_exceeds
from app.domain.waiting import Until, Verdict
from app.services.wait import MOST_SECONDS

MAX_REPORTS = 1000
MAX_TOKENS = 1000
MAX_TEXT = 8192  # characters

_EXPONENTS = re.compile(rb"[0-9]e[+-]?[0-9]{2}")
_MOST_ZEROS = 308  # which Postgres keeps for an exponent: 1e300 takes 301 digits, of whoever reads it, too


class ErrorSchema(ma.Schema):
    """Every error answer."""

    message = fields.String(required=True, metadata={"description": "For people."})
    error_code = fields.String(required=True, metadata={"description": "For programs: stable."})
    details = fields.Dict(required=True, allow_none=True)


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


class HealthSchema(ma.Schema):
    """A connector's health."""

    status = fields.String(required=True, validate=validate.OneOf(["Healthy", "Unhealthy"]))
    description = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=MAX_TEXT))

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Health:
        return Health(healthy=data["status"] == "Healthy", description=data["description"])


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


class StreamPositionSchema(ma.Schema):
    """How far the connector has got."""

    epoch = fields.String(
        load_default=None,
        validate=validate.Length(1, 255),
        metadata={"description": "A label for this history of positions; left out where there is only ever one."},
    )
    received = PositionField(required=True, metadata={"example": {"0": 100, "1": 90}})
    completed = PositionField(required=True, allow_none=True, metadata={"example": {"0": 100, "1": 85}})

    @ma.validates_schema
    def _check_components(self, data: dict[str, Any], **_: Any) -> None:
        if not data["received"].offsets:
            raise ma.ValidationError("names no component; leave the position out while it is not known", "received")
        if not data["received"].is_comparable_with(data["completed"]):
            raise ma.ValidationError(
                "must be an integer or an object as received is, or it can never reach it", "completed"
            )

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> StreamPosition:
        return StreamPosition(**data)


def _check_unique(errors: list[dict[str, Any]]) -> None:
    if len({(error["tag"], error["index"]) for error in errors}) != len(errors):
        raise ma.ValidationError("two errors have the same tag and index")


class ReportSchema(ma.Schema):
    """One complete measurement of a connector. What is left out has its neutral value."""

    position = fields.Nested(StreamPositionSchema, load_default=None, allow_none=True)
    recording = fields.Enum(Recording, by_value=True, load_default=Recording.SAMPLED)
    interval_seconds = Seconds(load_default=None, allow_none=True)
    metrics = fields.Nested(MetricsSchema, load_default=Metrics)
    fatal_error = fields.String(load_default=None, allow_none=True)
    parse_errors = fields.List(
        fields.Nested(ConnectorErrorSchema),
        load_default=list,
        validate=[validate.Length(max=MAX_ERRORS_OF_A_KIND), _check_unique],
    )
    transport_errors = fields.List(
        fields.Nested(ConnectorErrorSchema),
        load_default=list,
        validate=[validate.Length(max=MAX_ERRORS_OF_A_KIND), _check_unique],
    )
    health = fields.Nested(HealthSchema, load_default=None, allow_none=True)
    paused = Flag(load_default=False)
    barrier = Flag(load_default=False)
    completed_frontier = fields.Nested(CompletedFrontierSchema, load_default=None, allow_none=True)

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Report:
        return _report(data)


class ReportItemSchema(ReportSchema):
    """A report in a batch, with its address in the pipeline and its If-Match."""

    table = fields.String(required=True, metadata={**document.TABLE, "example": "orders"})
    connector = fields.String(required=True, metadata={**document.NAME, "example": "billing"})
    if_match = Count(metadata={"description": "The version seen before measuring; 0 for an unknown connector."})

    @ma.validates("table")
    def _check_table(self, table: str, **_: Any) -> None:
        check_name(names.canonical_table, table)

    @ma.validates("connector")
    def _check_connector(self, connector: str, **_: Any) -> None:
        check_name(names.connector_name, connector)

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> tuple[str, str, Report]:
        return names.canonical_table(data["table"]), data["connector"], _report(data)


def check_name(rule: Callable[[str], str], name: str) -> None:
    """Raises ValidationError for a name that the rule does not allow."""
    try:
        rule(name)
    except InvalidParam as error:
        raise ma.ValidationError(error.message.rpartition(": ")[2]) from None


def _report(data: dict[str, Any]) -> Report:
    fatal = data["fatal_error"]
    return Report(
        if_match=data.get("if_match"),
        recording=data["recording"],
        interval_seconds=data["interval_seconds"],
        position=data["position"],
        status=Status(
            metrics=data["metrics"],
            fatal_error=None if fatal is None else cut_message(fatal),
            health=data["health"],
            paused=data["paused"],
            barrier=data["barrier"],
            completed_frontier=data["completed_frontier"],
        ),
        errors=(
            *_errors(ErrorKind.PARSE, data["parse_errors"]),
            *_errors(ErrorKind.TRANSPORT, data["transport_errors"]),
        ),
    )


def _errors(kind: ErrorKind, errors: list[dict[str, Any]]) -> list[ConnectorError]:
    return [ConnectorError(**error | {"kind": kind, "message": cut_message(error["message"])}) for error in errors]


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


class VersionSchema(ma.Schema):
    """A report's version."""

    version = Count(required=True, metadata={"example": 1})


class ReportResultSchema(ma.Schema):
    """What became of one report of a batch: its version, or the members of its error."""

    table = fields.String(required=True, allow_none=True)
    connector = fields.String(required=True, allow_none=True)
    status = fields.Integer(required=True, metadata={"description": "201 first, 204 after, or the error's."})
    version = Count()
    message = fields.String()
    error_code = fields.String()
    details = fields.Dict(allow_none=True)


class TokenSchema(ma.Schema):
    """A completion token."""

    token = fields.String(required=True, metadata=document.TOKEN)


class CompletionStatusSchema(ma.Schema):
    """A token's status."""

    status = fields.String(required=True, validate=validate.OneOf(["complete", "inprogress"]))
    step = Count(required=True, allow_none=True, metadata={"description": "Once complete: the version it waited for."})


class TokensSchema(ma.Schema):
    """Tokens to be checked together, or waited for."""

    tokens = fields.List(fields.String(), required=True, validate=validate.Length(1, MAX_TOKENS))
    until = fields.Enum(Until, by_value=True, load_default=Until.ALL)
    wait = Seconds(
        most=MOST_SECONDS,
        zero=True,
        load_default=None,
        metadata={"description": "Seconds to wait, at most; fractions are allowed."},
    )


class TokenStatusSchema(ma.Schema):
    """One of many tokens: its status, or `failed` and the members of its error."""

    token = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf([each.value for each in Verdict]))
    step = Count(allow_none=True, metadata={"description": "Once complete: the version it waited for."})
    message = fields.String()
    error_code = fields.String()
    details = fields.Dict(allow_none=True)


class CompletionStatusesSchema(ma.Schema):
    """The status of many tokens, together and of each, in the order asked for."""

    status = fields.String(required=True, validate=validate.OneOf([each.value for each in Verdict]))
    tokens = fields.List(fields.Nested(TokenStatusSchema), required=True)


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


class NewApiKeySchema(ma.Schema):
    """An API key to be made."""

    name = fields.String(required=True, metadata=document.NAME)
    role = fields.Enum(Role, by_value=True, load_default=Role.READ)
    expires_at = Time(load_default=None, allow_none=True, metadata={"description": "Left out or null: never."})

    @ma.validates("name")
    def _check_key_name(self, name: str, **_: Any) -> None:
        check_name(names.key_name, name)


class ApiKeySchema(ma.Schema):
    """What may be told of an API key."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    role = fields.Enum(Role, by_value=True, required=True)
    created_at = Time(required=True)
    expires_at = Time(
        required=True, allow_none=True, metadata={"description": "null: never. Of a key that was rotated: soon."}
    )
    last_used_at = Time(required=True, allow_none=True, metadata={"description": "The hour of its last use."})


class CreatedApiKeySchema(ma.Schema):
    """A new API key, told once."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    api_key = fields.String(required=True)


class ConfigSchema(ma.Schema):
    """The server."""

    edition = fields.String(required=True)
    version = fields.String(required=True)
    tenant = fields.String(required=True)
    role = fields.Enum(Role, by_value=True, required=True)


class ClusterHealthSchema(ma.Schema):
    """Whether all parts work."""

    all_healthy = Flag(required=True)
    database = fields.Nested(HealthSchema, required=True)


class GenericOidcSchema(ma.Schema):
    """An OpenID Connect provider, and as which client of it people's programs log in."""

    issuer = fields.String(required=True)
    client_id = fields.String(required=True)
    extra_oidc_scopes = fields.List(fields.String(), required=True, metadata={"description": "To ask for as well."})


class AuthenticationSchema(ma.Schema):
    """How to get an access token, by the kind of provider as Feldera names it; empty where none is configured."""

    GenericOidc = fields.Nested(GenericOidcSchema)


class LiveSchema(ma.Schema):
    """The process answers."""

    status = fields.String(required=True)


class ReadySchema(ma.Schema):
    """Whether this process can do its work, check by check."""

    ready = Flag(required=True)
    checks = fields.Dict(keys=fields.String(), values=fields.Boolean(), required=True)
