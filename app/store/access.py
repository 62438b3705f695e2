"""What each database role may do with each table: the one list that `tidemark db roles` grants.

The owner migrates and maintains. The app serves, and may do no more than its statements do: it deletes nothing but
errors, and what it has written once of a token, an event or an observation it cannot change. Analysts read, and of
their own tenant alone. A table that is not listed is open to nobody but its owner.
"""

from dataclasses import dataclass

SCHEMA = "reporting"
"""Of the analysts' views."""

_TENANT = "(SELECT a.tenant_id FROM public.analyst AS a WHERE a.role = current_user)"
# Tables of millions of rows have no tenant of their own: its connectors are looked up once a query, and hashed.
_OF_A_CONNECTOR = (
    "connector_id IN (SELECT c.id FROM public.pipeline AS p JOIN public.connector AS c ON c.pipeline_id = p.id"  # noqa: S608
    f" WHERE p.tenant_id = {_TENANT})"
)


@dataclass(frozen=True, slots=True)
class Access:
    """Of one table: the app's privileges, and the condition on rows that an analyst may read, if any."""

    app: str
    analysts: str | None = None


TABLES = {
    "alembic_version": Access("SELECT"),
    "analyst": Access("", "role = current_user"),
    "api_key": Access("INSERT, SELECT, UPDATE"),
    "audit_event": Access("INSERT, SELECT"),
    "completion_token": Access("INSERT, SELECT", _OF_A_CONNECTOR),
    "connector": Access("INSERT, SELECT, UPDATE", f"tenant_id = {_TENANT}"),
    # Rollups: whoever serves or collects computes them, again and again.
    "connector_daily": Access("DELETE, INSERT, SELECT, UPDATE", _OF_A_CONNECTOR),
    "connector_hourly": Access("DELETE, INSERT, SELECT, UPDATE", _OF_A_CONNECTOR),
    "connector_epoch": Access("INSERT, SELECT, UPDATE", _OF_A_CONNECTOR),
    "connector_error": Access("DELETE, INSERT, SELECT, UPDATE", _OF_A_CONNECTOR),
    "connector_event": Access("INSERT, SELECT", _OF_A_CONNECTOR),
    "observation": Access("INSERT, SELECT", _OF_A_CONNECTOR),
    "packed_observation": Access("SELECT", _OF_A_CONNECTOR),
    "pipeline": Access("INSERT, SELECT, UPDATE", f"tenant_id = {_TENANT}"),
    "rollup": Access("INSERT, SELECT, UPDATE"),
    "tenant": Access("INSERT, SELECT", f"id = {_TENANT}"),
}

# Of the schema `public`, read by app and analysts, with the privileges and the policies of who asks (security_invoker).
VIEWS = ("connector_activity", "observed")

CLOSED = Access("")
