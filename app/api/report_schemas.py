"""The JSON documents of a report, of many in a batch, and of what became of them."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.api import document
from app.api.connector_schemas import CompletedFrontierSchema, ConnectorErrorSchema, MetricsSchema
from app.api.json_fields import Count, Flag, PositionField, Seconds
from app.api.schemas import HealthSchema, check_name
from app.domain import names
from app.domain.connector import Report, StreamPosition
from app.domain.status import (
    MAX_ERRORS_OF_A_KIND,
    ConnectorError,
    ErrorKind,
    Metrics,
    Recording,
    Status,
    cut_message,
)

MAX_REPORTS = 1000


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
