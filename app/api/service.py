"""The server itself: its configuration, its health, its metrics."""

from importlib.metadata import version
from typing import Any

from flask import Response

from app.api import connector_metrics, examples, runtime
from app.api.blueprint import Blueprint
from app.api.runtime import principal
from app.api.service_schemas import AuthenticationSchema, ClusterHealthSchema, ConfigSchema, LiveSchema, ReadySchema
from app.config import AuthProvider
from app.domain.errors import NotReady, ServiceUnavailable
from app.domain.roles import Role
from app.store import health, scrape
from app.store.engine import run

service = Blueprint("service", __name__, description="The server itself")

_CHECKS = dict.fromkeys(("database", "migrated", "primary", *health.DURABILITY, health.ROLE), True)


@service.route("/v0/config")
@service.refuses(Role.READ)
@service.response(
    200,
    ConfigSchema,
    example={"edition": "Open source", "version": "0.1.0", "tenant": "default", "role": "read"},
)
def read_config() -> dict[str, Any]:
    """Read the server's version and who the caller is

    Required role: `read` or higher.
    """
    caller = principal()
    return {
        "edition": "Open source",
        "version": version("tidemark"),
        "tenant": caller.tenant,
        "role": caller.role,
    }


@service.route("/v0/cluster_healthz")
@service.refuses(Role.READ)
@service.response(
    200, ClusterHealthSchema, example={"all_healthy": True, "database": {"status": "Healthy", "description": None}}
)
def read_cluster_health() -> dict[str, Any]:
    """Read the health of all parts

    Required role: `read` or higher.
    """
    failed = _failed(_checks())
    database = {
        "status": "Unhealthy" if failed else "Healthy",
        "description": f"failed: {', '.join(failed)}" if failed else None,
    }
    return {"all_healthy": not failed, "database": database}


@service.route("/v0/metrics")
@service.refuses(Role.READ)
@service.response(200, {"type": "string"}, content_type="text/plain", example=examples.METRICS)
def read_metrics() -> Response:
    """Read the metrics of all the tenant's pipelines and connectors in Prometheus' text format

    Required role: `read` or higher.
    """
    owner = principal().tenant_id
    rows = run(runtime.current().engine, lambda connection: scrape.read_metrics(connection, owner, None))
    return Response(connector_metrics.exposition(rows), content_type="text/plain")


@service.route("/healthz")
@service.refuses(None)
@service.response(200, LiveSchema, example={"status": "ok"})
def healthz() -> dict[str, str]:
    """Whether the process answers

    Required role: none. Touches nothing, so that it fails only with the process.
    """
    return {"status": "ok"}


@service.route("/readyz")
@service.refuses(None, NotReady(_CHECKS | {"migrated": False}, failed=["migrated"]))
@service.response(200, ReadySchema, example={"ready": True, "checks": _CHECKS})
def readyz() -> dict[str, Any]:
    """Whether the server can do its work

    Required role: none. The database is reachable, migrated, a primary, and does not lose what it has acknowledged
    (where `ALLOW_UNSAFE_DATABASE=1` permits that, it is told and does not count); and the server's database role can do
    no more than it need (`role`, which counts only with `REQUIRE_APP_ROLE=1`).
    """
    checks = _checks()
    if failed := _failed(checks):
        raise NotReady(checks, failed=failed)
    return {"ready": True, "checks": checks}


@service.route("/config/authentication")
@service.refuses(None)
@service.response(
    200,
    AuthenticationSchema,
    example={
        "GenericOidc": {"issuer": "https://id.example.com", "client_id": "tidemark-web", "extra_oidc_scopes": ["roles"]}
    },
)
def read_authentication() -> dict[str, Any]:
    """How to authenticate with an identity provider

    Required role: none. An empty object: there is none, API keys are given out by `POST /v0/api_keys`.
    """
    config = runtime.current().config
    if config.auth_provider is not AuthProvider.GENERIC_OIDC:
        return {}
    provider = {
        "issuer": config.oidc_issuer,
        "client_id": config.oidc_client_id,
        "extra_oidc_scopes": config.oidc_extra_scopes,
    }
    return {"GenericOidc": provider}


def _failed(checks: dict[str, bool]) -> list[str]:
    return health.failed(checks, runtime.current().config)


def _checks() -> dict[str, bool]:
    try:
        return run(runtime.current().engine, health.check)
    except ServiceUnavailable:
        return dict.fromkeys(_CHECKS, False)
