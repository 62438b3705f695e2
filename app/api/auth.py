"""Who may enter: the one table of every route and the role it asks for, and the check before every view."""

import math

from flask import Flask, g, request

from app.api import runtime
from app.config import AuthProvider
from app.domain.api_key import PREFIX, ApiKeyText
from app.domain.errors import AuthenticationFailed, InsufficientPermissions
from app.domain.roles import Principal, Role
from app.services.authenticate import ANYONE, authenticate
from app.store.engine import run

ROLES: dict[str, Role | None] = {
    "connectors.read_stats": Role.READ,
    "connectors.put_report": Role.WRITE,
    "connectors.delete_connector": Role.WRITE,
    "connectors.issue_completion_token": Role.WRITE,
    "fleet.list_connectors": Role.READ,
    "tokens.read_completion_status": Role.READ,
    "tokens.check_tokens": Role.READ,
    "explanation.explain_completion_token": Role.READ,
    "events.stream_events": Role.READ,
    "history.read_connector_history": Role.READ,
    "history.read_connector_errors": Role.READ,
    "history.list_pipeline_events": Role.READ,
    "reports.post_reports": Role.WRITE,
    "pipelines.list_pipelines": Role.READ,
    "pipelines.read_pipeline": Role.READ,
    "pipelines.put_pipeline": Role.WRITE,
    "pipelines.read_pipeline_stats": Role.READ,
    "pipelines.read_pipeline_metrics": Role.READ,
    "service.read_config": Role.READ,
    "service.read_cluster_health": Role.READ,
    "service.read_metrics": Role.READ,
    "api_keys.list_api_keys": Role.WRITE,
    "api_keys.create_api_key": Role.WRITE,
    "api_keys.read_api_key": Role.WRITE,
    "api_keys.rotate_api_key": Role.WRITE,
    "api_keys.delete_api_key": Role.WRITE,
    "tenants.list_tenants": Role.ADMIN,
    "tenants.create_tenant": Role.ADMIN,
    "audit.list_audit_events": Role.ADMIN,
    # Nobody is asked for a credential here.
    "service.healthz": None,
    "service.readyz": None,
    "service.read_authentication": None,
    "api-docs.openapi_json": None,
    "docs.show": None,
}


_FRESH = ("api_keys", "tenants", "audit")
"""Blueprints for which no key is remembered, or one revoked a moment ago could make another."""


def register(app: Flask) -> None:
    """Asks for the role of its route before every request. Call it when all routes are there.

    Raises LookupError when a route is missing from ROLES: nobody could say who may use it.
    """
    forgotten = {rule.endpoint for rule in app.url_map.iter_rules()} ^ ROLES.keys()
    if forgotten:
        raise LookupError(f"routes and app/api/auth.py disagree about {sorted(forgotten)}")
    app.before_request(_enter)


def key_id() -> str | None:
    """The id of the API key that the current request was let in with, if it was one."""
    nobody_asks = runtime.current().config.auth_provider is AuthProvider.NONE
    return None if nobody_asks or "token_expires_at" in g else ApiKeyText.parse(_bearer()).id


def expires_at() -> float:
    """When the access token ends that the current request was let in with: seconds since 1970; infinite for others."""
    return float(g.get("token_expires_at", math.inf))


def _enter() -> None:
    # An unknown route or a wrong method has no endpoint; Flask answers it before any view could run.
    required = ROLES[request.endpoint] if request.endpoint else None
    if required is None:
        return
    g.principal = principal = _principal()
    if not principal.role.allows(required):
        raise InsufficientPermissions(required=required.value, actual=principal.role.value)


def _principal() -> Principal:
    here = runtime.current()
    if here.config.auth_provider is AuthProvider.NONE:
        return ANYONE

    credential = _bearer()
    if here.bearers is not None and not credential.startswith(PREFIX):
        bearer = here.bearers.find(credential, request.headers.get("Feldera-Tenant", ""))
        g.token_expires_at = bearer.expires_at
        return bearer.principal

    def look(key: ApiKeyText) -> Principal:
        return run(here.engine, lambda connection: authenticate(connection, key, here.tally.note_use))

    if request.blueprint in _FRESH:
        return look(ApiKeyText.parse(credential))
    return here.principals.find(credential, look)


def _bearer() -> str:
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise AuthenticationFailed
    return credential.strip(" \t")  # and of nothing else, so that nginx counts the same one under one name
