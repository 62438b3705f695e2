"""The audit: who has changed keys, tenants and connectors, and whom was denied."""

import re
from typing import Any
from urllib.parse import urlencode

from flask import request

from app.api import examples, runtime
from app.api.access_schemas import AuditSchema
from app.api.blueprint import Blueprint
from app.api.page_query import BAD_LIMIT, DEFAULT_LIMIT, LIMIT, Read, choices, limit_parameter, one, read
from app.api.runtime import tenant
from app.domain.audit import Action, AuditPlace
from app.domain.roles import Role
from app.domain.status import format_time
from app.store.audit import Entry, read_page
from app.store.engine import run

audit = Blueprint("audit", __name__, url_prefix="/v0/audit", description="The audit")

_ACTIONS = tuple(each.value for each in Action)
_ANYTHING = re.compile(r".{1,100}", re.DOTALL)
_PARAMETERS: dict[str, Read] = {
    "action": choices(_ACTIONS),
    "limit": LIMIT,
    "cursor": one(_ANYTHING, AuditPlace.parse, "must be one from a page before"),
}
_CURSOR = "AAY6G_0qgAAX5Fq6JXhLmKQ2V2yxJxgD"
_EXAMPLE: dict[str, Any] = {
    "events": [
        {
            "at": "2026-01-31T12:00:00.000000Z",
            "action": "key.created",
            "actor": "admin",
            "key_id": "gezdgnbvgy3tqojq",
            "details": {"id": "mfrggzdfmztwq2lk", "name": "dashboard", "role": "read", "expires_at": None},
        }
    ],
    "next": f"?limit=1&cursor={_CURSOR}",
}
_DOCUMENTED = [
    examples.parameter(
        "action",
        "query",
        "Of these only; repeat it for several.",
        ["denied"],
        {"type": "array", "items": {"type": "string", "enum": list(_ACTIONS)}},
    ),
    limit_parameter("events"),
    examples.parameter("cursor", "query", "Where a page goes on; from the page before.", _CURSOR, {"type": "string"}),
]


@audit.route("")
@audit.refuses(Role.ADMIN, BAD_LIMIT)
@audit.response(200, AuditSchema, example=_EXAMPLE)
@audit.doc(parameters=_DOCUMENTED)
def list_audit_events() -> Any:
    """List who has changed what, the newest first

    Required role: `admin` or higher.

    Changes of keys and tenants, removals of connectors, and denied attempts, equal ones of which are counted together.
    """
    owner, given = tenant(), read(request.args, _PARAMETERS)
    actions, limit, after = given.get("action"), given.get("limit", DEFAULT_LIMIT), given.get("cursor")
    page = run(runtime.current().engine, lambda connection: read_page(connection, owner, actions, after, limit))
    following = {"action": actions or (), "limit": limit, "cursor": page.last}
    return {
        "events": [_told(entry) for entry in page.entries],
        "next": f"?{urlencode(following, doseq=True)}" if page.last else None,
    }


def _told(entry: Entry) -> dict[str, Any]:
    return {
        "at": format_time(entry.at),
        "action": entry.action.value,
        "actor": entry.actor,
        "key_id": entry.key_id,
        "details": entry.details,
    }
