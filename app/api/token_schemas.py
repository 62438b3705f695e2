"""The JSON documents of completion tokens and of their status."""

import marshmallow as ma
from marshmallow import fields, validate

from app.api import document
from app.api.json_fields import Count, Seconds
from app.domain.waiting import Until, Verdict
from app.services.wait import MOST_SECONDS

MAX_TOKENS = 1000


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
