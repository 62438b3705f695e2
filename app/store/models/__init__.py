"""The schema (design §3), as typed models. The migrations in ``migrations/`` build it; a test holds the two equal."""

from app.store.models.access import Analyst, ApiKey, AuditEvent, Tenant
from app.store.models.base import Base
from app.store.models.connector import Connector, ConnectorEpoch, ConnectorError, Pipeline, Reported
from app.store.models.history import ConnectorDaily, ConnectorEvent, ConnectorHourly, Observation, RolledUp, Rollup
from app.store.models.token import CompletionToken

__all__ = [
    "Analyst",
    "ApiKey",
    "AuditEvent",
    "Base",
    "CompletionToken",
    "Connector",
    "ConnectorDaily",
    "ConnectorEpoch",
    "ConnectorError",
    "ConnectorEvent",
    "ConnectorHourly",
    "Observation",
    "Pipeline",
    "Reported",
    "RolledUp",
    "Rollup",
    "Tenant",
]
