"""What may be asked for, route by route, of somebody's things: the rows of the matrix in test_matrix.py.

A new route needs a row here, which names the object it is about as it is called in `Things`, so that it can be asked
for by its owner, by a stranger, and by somebody when there is none.
"""

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from app.api import fleet_query
from app.domain.audit import AuditPlace
from app.domain.event_order import BEGINNING, Cursor
from app.domain.names import tenant_id
from app.domain.subscription import Subscription
from app.domain.token import TokenId
from app.store.fleet import Filters, Place
from tests.api.client import FULL, Api

KEY = "thing"  # an API key's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Things:
    """What a tenant has, or what is spelt like it and nobody has."""

    name: str  # of the pipeline
    token: str  # in progress
    done: str  # complete
    event: str  # id of one, of the stream that tells of the complete token
    fleet: str  # cursor
    audit: str  # cursor
    version: int  # of the connector; also its ETag

    @property
    def pipeline(self) -> str:
        return f"/v0/pipelines/{self.name}"

    @property
    def connector(self) -> str:
        return f"{self.pipeline}/tables/orders/connectors/billing"


def absent(name: str) -> Things:
    """What nobody has."""
    token = _token()
    return Things(
        name=name,
        token=token,
        done=token,
        event=_event(uuid.uuid4().hex, token),
        fleet=fleet_query._cursor(Place(3, "nobody", "orders", "billing"), Filters()),
        audit=str(AuditPlace(datetime.now(UTC), uuid.uuid4())),
        version=3,
    )


def made(api: Api, tenant: str, name: str) -> Things:
    """What the tenant has after this."""
    things = absent(name)
    api.request("POST", "/v0/api_keys", json={"name": KEY})
    assert api.position(1, 1, 0, "run-1", f"{things.connector}-2").status_code == 201
    assert api.report(FULL, 0, things.connector).status_code == 201
    done = api.token(things.connector)
    for version in (1, 2):
        position = {"epoch": "run-1", "received": {"0": 100, "1": 90}, "completed": {"0": 100, "1": 90}}
        assert api.report(FULL | {"position": position}, version, things.connector).status_code == 204
    return Things(
        name=name,
        token=api.token(things.connector),
        done=done,
        event=_event(tenant, done),
        fleet=_next(api, "/v0/connectors"),
        audit=_next(api, "/v0/audit"),
        version=3,
    )


def _token() -> str:
    """One of now, as a client would make it up."""
    moment = int(time.time() * 1000) << 80
    return str(TokenId(uuid.uuid4(), UUID(int=moment | 0x7 << 76 | 0x2 << 62 | secrets.randbits(62))))


def _event(tenant: str, token: str) -> str:
    subscription = Subscription(tenant=tenant_id(tenant), tokens=(token,), transitions=False)
    return str(Cursor(query=subscription.digest, made_at=int(time.time()), place=BEGINNING))


def _next(api: Api, path: str) -> str:
    reference: str = api.get(f"{path}?limit=1").get_json()["next"]
    return reference.partition("cursor=")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request to a route, and what its owner is answered the first time, and when another role repeats it."""

    endpoint: str
    method: str
    path: Callable[[Things], str]
    own: int = 200
    again: int | None = None  # None: as the first time
    head: int | None = None  # None: as GET
    json: Callable[[Things], Any] | None = None
    headers: Callable[[Things], dict[str, str]] = lambda _: {}
    operator: bool = False  # whether the owner is the operators' tenant

    def __str__(self) -> str:
        return f"{self.method} {self.endpoint}"

    def ask(self, api: Api, method: str, things: Things) -> Any:
        body = {} if self.json is None else {"json": self.json(things)}
        return api.request(method, self.path(things), headers=self.headers(things), **body)


def _case(route: str, path: Callable[[Things], str], own: int = 200, **options: Any) -> Case:
    method, endpoint = route.split()
    return Case(endpoint=endpoint, method=method, path=path, own=own, **options)


def _get(endpoint: str, path: Callable[[Things], str], own: int = 200, **options: Any) -> Case:
    return _case(f"GET {endpoint}", path, own, **options)


def _fixed(path: str) -> Callable[[Things], str]:
    return lambda _: path


def _if(name: str, version: Callable[[Things], int]) -> Callable[[Things], dict[str, str]]:
    return lambda it: {name: f'"{version(it)}"'}


def _as(media_type: str) -> Callable[[Things], dict[str, str]]:
    return lambda _: {"Accept": media_type}


_DAY = "from=2026-01-31T00:00:00Z&to=2026-02-01T00:00:00Z&step=3600"
_REPORT = {"position": {"epoch": "run-1", "received": {"0": 200, "1": 90}, "completed": {"0": 100, "1": 90}}}
_KEYS, _TENANTS = "/v0/api_keys", "/v0/tenants"

CASES: tuple[Case, ...] = (
    # a connector
    _get("connectors.read_stats", lambda it: f"{it.connector}/stats"),
    _get(
        "connectors.read_stats",
        lambda it: f"{it.connector}/stats",
        304,
        headers=_if("If-None-Match", lambda it: it.version),
    ),
    _case(
        "PUT connectors.put_report",
        lambda it: f"{it.connector}/stats",
        204,
        again=412,  # a retry
        json=lambda _: _REPORT,
        headers=_if("If-Match", lambda it: it.version),
    ),
    _case(
        "PUT connectors.put_report",
        lambda it: f"{it.connector}/stats",
        412,
        json=lambda _: _REPORT,
        headers=_if("If-Match", lambda _: 0),
    ),
    _case("PUT connectors.put_report", lambda it: f"{it.connector}/stats", 428, json=lambda _: {}),
    _case("DELETE connectors.delete_connector", lambda it: it.connector, 204, again=404),
    _get("connectors.issue_completion_token", lambda it: f"{it.connector}/completion_token", head=405),
    _case(
        "POST reports.post_reports",
        lambda it: f"{it.pipeline}/reports",
        json=lambda it: [{"table": "orders", "connector": "billing", "if_match": it.version, **_REPORT}],
    ),
    # its history
    _get("history.read_connector_history", lambda it: f"{it.connector}/history?{_DAY}"),
    _get("history.read_connector_history", lambda it: f"{it.connector}/history?{_DAY}", headers=_as("text/csv")),
    _get("history.read_connector_errors", lambda it: f"{it.connector}/errors"),
    _get("history.list_pipeline_events", lambda it: f"{it.pipeline}/events"),
    # tokens
    _get("tokens.read_completion_status", lambda it: f"{it.pipeline}/completion_status?token={it.token}", 202),
    _get("tokens.read_completion_status", lambda it: f"{it.pipeline}/completion_status?token={it.done}&wait=0.01"),
    _get("tokens.read_completion_status", lambda it: f"/v0/pipelines/other/completion_status?token={it.done}", 404),
    _case(
        "POST tokens.check_tokens",
        _fixed("/v0/completion_status"),
        202,
        json=lambda it: {"tokens": [it.token, it.done], "until": "all"},
    ),
    _case(
        "POST tokens.check_tokens",
        _fixed("/v0/completion_status"),
        json=lambda it: {"tokens": [it.done, it.token], "until": "any", "wait": 0.01},
    ),
    _get("explanation.explain_completion_token", lambda it: f"/v0/completion_tokens/{it.token}"),
    _get("explanation.explain_completion_token", lambda it: f"/v0/completion_tokens/{it.done}"),
    # events
    _get("events.stream_events", lambda it: f"/v0/events?token={it.done}"),
    _get(
        "events.stream_events",
        lambda it: f"/v0/events?token={it.done}",
        headers=lambda it: {"Last-Event-ID": it.event},
    ),
    _get("events.stream_events", lambda it: f"/v0/events?token={it.token}&last_event_id={it.event}", 400),
    # lists
    _get("fleet.list_connectors", _fixed("/v0/connectors?name_prefix=orders.billing")),
    _get("fleet.list_connectors", lambda it: f"/v0/connectors?pipeline={it.name}"),
    _get("fleet.list_connectors", lambda it: f"/v0/connectors?limit=1&cursor={it.fleet}"),
    _get("pipelines.list_pipelines", _fixed("/v0/pipelines")),
    _get("service.read_metrics", _fixed("/v0/metrics")),
    # a pipeline
    _get("pipelines.read_pipeline", lambda it: it.pipeline),
    _case("PUT pipelines.put_pipeline", lambda it: it.pipeline, 204, json=lambda _: {"deployment_status": "Paused"}),
    _get("pipelines.read_pipeline_stats", lambda it: f"{it.pipeline}/stats"),
    _get("pipelines.read_pipeline_metrics", lambda it: f"{it.pipeline}/metrics"),
    # keys
    _get("api_keys.list_api_keys", _fixed(_KEYS)),
    _case("POST api_keys.create_api_key", _fixed(_KEYS), 409, json=lambda _: {"name": KEY}),
    _get("api_keys.read_api_key", _fixed(f"{_KEYS}/{KEY}")),
    _case("POST api_keys.rotate_api_key", _fixed(f"{_KEYS}/{KEY}/rotate"), 201, json=lambda _: {"grace_seconds": 60}),
    _case("DELETE api_keys.delete_api_key", _fixed(f"{_KEYS}/{KEY}"), 204, again=404),
    # who runs the service
    _get("tenants.list_tenants", _fixed(f"{_TENANTS}?limit=1"), operator=True),
    _case("POST tenants.create_tenant", _fixed(_TENANTS), 409, json=lambda _: {"name": "default"}, operator=True),
    _get("audit.list_audit_events", _fixed("/v0/audit?action=key.created")),
    _get("audit.list_audit_events", lambda it: f"/v0/audit?{urlencode({'limit': 1, 'cursor': it.audit})}"),
    # the server itself, which is the same for all
    _get("service.read_config", _fixed("/v0/config")),
    _get("service.read_cluster_health", _fixed("/v0/cluster_healthz")),
    _get("service.healthz", _fixed("/healthz")),
    _get("service.readyz", _fixed("/readyz")),
    _get("service.read_authentication", _fixed("/config/authentication")),
    _get("api-docs.openapi_json", _fixed("/openapi.json")),
    _get("docs.show", _fixed("/docs/")),
    _get("docs.show", _fixed("/docs/index.css")),
)
