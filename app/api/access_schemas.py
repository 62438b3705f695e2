"""The JSON documents about who may do what: API keys, tenants, the audit."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.api import document
from app.api.json_fields import Count, Time
from app.api.schemas import check_name
from app.domain import names
from app.domain.audit import Action
from app.domain.roles import Role
from app.services.keys import MOST_GRACE

_NEXT = {"description": "The next page, relative to this one; null: the end."}


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


class RotationSchema(ma.Schema):
    """How a key is rotated."""

    grace_seconds = Count(
        most=int(MOST_GRACE.total_seconds()),
        load_default=0,
        metadata={"description": "How long the old key still works. 0: not at all."},
    )


class NewTenantSchema(ma.Schema):
    """A tenant to be made."""

    name = fields.String(required=True)
    admin_key = fields.String(
        load_default=None, allow_none=True, metadata={"description": "The name of its first API key, of role admin."}
    )

    @ma.validates("name", "admin_key")
    def _check_names(self, name: str | None, **_: Any) -> None:
        if name is not None:
            check_name(names.key_name, name)


class TenantSchema(ma.Schema):
    """A tenant."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    created_at = Time(required=True)


class CreatedTenantSchema(TenantSchema):
    """A new tenant, with its first API key, which is told once."""

    api_key = fields.String(required=True, allow_none=True, metadata={"description": "null: none was asked for."})


class TenantsSchema(ma.Schema):
    """A page of the tenants, by name."""

    tenants = fields.List(fields.Nested(TenantSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata=_NEXT)


class AuditEventSchema(ma.Schema):
    """What somebody has done, or was denied."""

    at = Time(required=True)
    action = fields.String(required=True, validate=validate.OneOf([each.value for each in Action]))
    actor = fields.String(required=True, allow_none=True, metadata={"description": "Who it was; null: not known."})
    key_id = fields.String(
        required=True, allow_none=True, metadata={"description": "Of the API key that came with the request."}
    )
    details = fields.Dict(required=True, metadata={"description": "What it was done to."})


class AuditSchema(ma.Schema):
    """A page of the audit, the newest events first."""

    events = fields.List(fields.Nested(AuditEventSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata=_NEXT)
