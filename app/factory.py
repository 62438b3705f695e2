"""The application: configuration and engine in, WSGI application out."""

import os
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any

import flask_smorest
from flask import Flask, Response
from flask_swagger_ui import get_swaggerui_blueprint

from app import logs, metrics
from app.api import auth, errors, runtime
from app.api.api_keys import api_keys
from app.api.audit import audit
from app.api.body import MAX_BODY
from app.api.connectors import connectors
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
from app.lean import LeanFlask
from app.store.deadline import patience

_OPENAPI = {
    "API_TITLE": "Tidemark",
    "OPENAPI_VERSION": "3.0.3",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_JSON_PATH": "openapi.json",
    "API_SPEC_OPTIONS": {
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}],
        "info": {"description": "Status of streaming pipelines' input connectors, and completion tokens."},
    },
}


class _Api(flask_smorest.Api):  # type: ignore[misc]  # untyped
    """flask-smorest's, with this application's error shape and handlers instead of its own."""

    ERROR_SCHEMA = ErrorSchema

    def _register_error_handlers(self) -> None:
        errors.register(self._app)


def create_app(config: Config) -> LeanFlask:
    """The WSGI application. Call it after a fork: it makes the database engine. Raises ConfigError."""
    if config.database_url is None:
        raise ConfigError("DATABASE_URL: must be set here; `tidemark run` and `tidemark serve` start the embedded one")
    app = LeanFlask(__name__, static_folder=None)
    app.config.from_mapping(_OPENAPI, API_VERSION=version("tidemark"), MAX_CONTENT_LENGTH=MAX_BODY)
    app.url_map.merge_slashes = False  # a quoted table name may hold two in a row
    with app.app_context():
        runtime.install(made := Runtime.make(config, config.database_url))
    app.on_stop = made.close
    _add_routes(app)
    auth.register(app)
    app.after_request(_finish)
    app.wsgi_app = _patient(app.wsgi_app, config.request_timeout)  # type: ignore[method-assign]  # as Flask documents
    if config.metrics_port is not None:
        app.wsgi_app = metrics.measured(app.wsgi_app)  # type: ignore[method-assign]  # as Flask documents
    return app


def from_environment(environment: Mapping[str, str] = os.environ) -> LeanFlask:
    """The WSGI application as the environment configures it, and its logging. Raises ConfigError."""
    config = Config.read(environment)
    logs.configure(config.log_level)
    return create_app(config)


def _add_routes(app: Flask) -> None:
    api = _Api(app)
    for blueprint in (
        *(connectors, fleet, tokens, explanation, events, history, reports, pipelines),
        *(api_keys, tenants, audit, service),
    ):
        api.register_blueprint(blueprint)
    # Given a redirect URL, or it would put the request's Host header into the page.
    settings = {"app_name": "Tidemark", "oauth2RedirectUrl": "/docs/oauth2-redirect.html"}
    app.register_blueprint(get_swaggerui_blueprint("/docs", "/openapi.json", settings, blueprint_name="docs"))


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
