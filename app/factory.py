"""The application: configuration and engine in, WSGI application out."""

import os
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any

import flask_smorest
from flask import Flask, Response

from app import logs, metrics
from app.api import auth, cors, errors, request_log, runtime
from app.api.api_keys import api_keys
from app.api.audit import audit
from app.api.body import MAX_BODY
from app.api.connectors import connectors
from app.api.docs import docs
from app.api.events import events
from app.api.explanation import explanation
from app.api.fleet import fleet
from app.api.history import history
from app.api.pipelines import pipelines
from app.api.reports import reports
from app.api.runtime import Runtime
from app.api.schemas import ErrorSchema
from app.api.service import service
from app.api.tenants import tenants
from app.api.tokens import tokens
from app.config import Config, ConfigError
from app.lean import LeanFlask, TableConverter
from app.store.deadline import patience

_CREDENTIAL = (
    "An API key, or where an identity provider is configured an access token (JWT) of it; of several tenants that a"
    " token is for, the header `Feldera-Tenant` names the one that is meant."
)
_PROBES = frozenset(("/healthz", "/readyz"))  # which are asked by whatever address the server has
_OPENAPI = {
    "API_TITLE": "Tidemark",
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_JSON_PATH": "openapi.json",
    "API_SPEC_OPTIONS": {
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": _CREDENTIAL}}},
        "security": [{"bearer": []}],
        "info": {"description": "Status of streaming pipelines' input connectors, and completion tokens."},
    },
}


class _Api(flask_smorest.Api):  # type: ignore[misc]  # untyped
    """flask-smorest's, with this application's error shape and handlers instead of its own."""

    ERROR_SCHEMA = ErrorSchema
    DEFAULT_ERROR_RESPONSE_NAME = None  # every status that an operation may answer with is documented by itself

    def _register_error_handlers(self) -> None:
        errors.register(self._app)


def create_app(config: Config) -> LeanFlask:
    """The WSGI application. Call it after a fork: it makes the database engine. Raises ConfigError."""
    if config.database_url is None:
        raise ConfigError("DATABASE_URL: must be set here; `tidemark run` and `tidemark serve` start the embedded one")
    app = LeanFlask(__name__, static_folder=None)
    app.config.from_mapping(_OPENAPI, API_VERSION=version("tidemark"), MAX_CONTENT_LENGTH=MAX_BODY)
    app.url_map.converters["table"] = TableConverter
    app.url_map.merge_slashes = False  # a quoted table name may hold two in a row
    with app.app_context():
        runtime.install(made := Runtime.make(config, config.database_url))
    app.trusted_hosts, app.at_any_host = config.hosts, _PROBES
    app.on_stop = made.close
    _add_routes(app)
    auth.register(app)
    request_log.register(app)
    app.after_request(_finish)
    application = _patient(app.wsgi_app, config.request_timeout)
    if config.metrics_port is not None:
        application = metrics.measured(application)
    if config.cors_origins:
        application = cors.allowing(config.cors_origins, application)
    app.wsgi_app = application  # type: ignore[method-assign]  # as Flask documents
    return app


def from_environment(environment: Mapping[str, str] = os.environ) -> LeanFlask:
    """The WSGI application as the environment configures it, and its logging. Raises ConfigError."""
    config = Config.read(environment)
    logs.configure(config.log_level, request_log.context)
    return create_app(config)


def _add_routes(app: Flask) -> None:
    api = _Api(app)
    for blueprint in (
        *(connectors, fleet, tokens, explanation, events, history, reports, pipelines),
        *(api_keys, tenants, audit, service),
    ):
        api.register_blueprint(blueprint)
    app.register_blueprint(docs())


def _patient(application: Callable[..., Iterable[bytes]], seconds: float) -> Callable[..., Iterable[bytes]]:
    """The application, each of whose requests waits for the database no longer than this in all."""

    def patient(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with patience(seconds):
            return application(environ, start_response)

    return patient


def _finish(response: Response) -> Response:
    """What says nothing else may not be kept: a token, a key, or how far something had got a moment ago."""
    response.headers.setdefault("Cache-Control", "no-store")
    if response.status_code in (204, 304):  # which have no content to be of a type
        response.headers.pop("Content-Type", None)
    return response
