"""The JSON documents of the server itself."""

import marshmallow as ma
from marshmallow import fields

from app.api.json_fields import Flag
from app.api.schemas import HealthSchema
from app.domain.roles import Role


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
