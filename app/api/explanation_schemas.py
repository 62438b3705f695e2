"""A token's explanation as a document, for the OpenAPI description; `app.api.explanation_json` writes it."""

import marshmallow as ma
from marshmallow import fields, validate

from app.api.json_fields import Count, Flag, Time
from app.api.schemas import ErrorSchema
from app.domain.activity import Lifecycle, Progress
from app.domain.explanation import LOST
from app.domain.token import TokenStatus


class ComponentSchema(ma.Schema):
    """One component of the stream in which input is missing."""

    component = fields.String(
        required=True, allow_none=True, metadata={"description": "null: the stream has just one."}
    )
    needed = Count(required=True, metadata={"description": "The exclusive offset to be completed."})
    reached = Count(required=True, allow_none=True, metadata={"description": "The offset completed; null: not known."})
    missing = Count(required=True, allow_none=True, metadata={"description": "Records; null: not known."})


class RateSchema(ma.Schema):
    """How fast the connector completed records, and over which time that was measured."""

    records_per_second = fields.Float(required=True)
    records = fields.Integer(
        required=True, metadata={"description": "Of all components, completed from since to until."}
    )
    since = Time(required=True)
    until = Time(required=True, metadata={"description": "When the newest report was recorded."})


class EtaSchema(ma.Schema):
    """When the missing records will be completed, if each component goes on at the rate that was measured."""

    at = Time(required=True)
    seconds = fields.Float(required=True, metadata={"description": "From now; never negative."})
    component = fields.String(
        required=True, allow_none=True, metadata={"description": "The one that takes longest; null: there is just one."}
    )
    records_per_second = fields.Float(required=True, metadata={"description": "Of that component, over the same time."})


class HoldingBackSchema(ma.Schema):
    """What holds back a token that is in progress."""

    reports = Count(required=True, metadata={"description": "Further ones that bind it to a position; 0: it is bound."})
    missing_records = fields.Integer(
        required=True, allow_none=True, metadata={"description": "In all components; null: not known."}
    )
    waiting_since = Time(
        required=True,
        allow_none=True,
        metadata={"description": "When the position it waits for was first recorded; null: it is not bound yet."},
    )
    lag_seconds = fields.Float(required=True, allow_none=True, metadata={"description": "Since then."})
    components = fields.List(
        fields.Nested(ComponentSchema), required=True, metadata={"description": "The worst first, 20 at most."}
    )
    more_components = Count(required=True, metadata={"description": "How many there are beside those."})
    pipeline_stopped = Flag(required=True, metadata={"description": "Whether the pipeline is recorded as stopped."})
    lifecycle = fields.Enum(Lifecycle, by_value=True, required=True)
    progress = fields.Enum(Progress, by_value=True, required=True)
    recorded_at = Time(required=True, metadata={"description": "Of the newest report."})
    not_reporting_since = Time(
        required=True, allow_none=True, metadata={"description": "Its time, when the next one is overdue; else null."}
    )
    rate = fields.Nested(RateSchema, required=True, allow_none=True, metadata={"description": "null: not known."})
    eta = fields.Nested(EtaSchema, required=True, allow_none=True, metadata={"description": "null: not known."})


class ExplanationSchema(ma.Schema):
    """A completion token explained."""

    token = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf([*(each.value for each in TokenStatus), LOST]))
    reason = fields.String(required=True, metadata={"description": "For people."})
    error = fields.Nested(
        ErrorSchema, required=True, allow_none=True, metadata={"description": "What completion_status answers if lost."}
    )
    pipeline = fields.String(required=True)
    table = fields.String(required=True)
    connector = fields.String(required=True)
    issued_at = Time(required=True)
    issued_by = fields.String(required=True, metadata={"description": "The name of the API key."})
    epoch = fields.String(required=True, allow_none=True)
    epoch_number = Count(required=True)
    version = Count(required=True, metadata={"description": "The connector's newest."})
    completed_version = Count(required=True, metadata={"description": "The newest one completed in the token's epoch."})
    binding = Count(required=True, metadata={"description": "The version that has to be completed."})
    bound = Flag(
        required=True,
        allow_none=True,
        metadata={"description": "Whether a report has bound it to a position; null: it is lost."},
    )
    bound_version = Count(
        required=True,
        allow_none=True,
        metadata={"description": "The version whose position it waits for, while it does: binding or a later one."},
    )
    completed_after = Time(
        required=True,
        allow_none=True,
        metadata={"description": "It completed later than this; null: not known, or not complete."},
    )
    completed_by = Time(
        required=True, allow_none=True, metadata={"description": "It was complete by then; null: not complete."}
    )
    holding_back = fields.Nested(
        HoldingBackSchema, required=True, allow_none=True, metadata={"description": "null: it is not in progress."}
    )
