"""What a request works with: made once per process by the factory, fetched by the views."""

from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from flask import current_app, g
from sqlalchemy import Engine

from app.config import Config
from app.domain.roles import Principal
from app.services.issue import Issuer

_EXTENSION = "tidemark"


@dataclass(frozen=True, slots=True)
class Runtime:
    """The process's configuration, its database engine, and what it remembers between requests."""

    config: Config
    engine: Engine
    issuer: Issuer = field(default_factory=Issuer)


def install(runtime: Runtime) -> None:
    """Makes it the current application's."""
    current_app.extensions[_EXTENSION] = runtime


def current() -> Runtime:
    """The current application's."""
    return cast("Runtime", current_app.extensions[_EXTENSION])


def principal() -> Principal:
    """Whoever makes the current request; authenticated before any view runs."""
    return cast("Principal", g.principal)


def tenant() -> UUID:
    """The tenant that the current request is confined to."""
    return principal().tenant_id
