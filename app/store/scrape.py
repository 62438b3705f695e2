"""What is read for a scrape of metrics."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from app.store.engine import AnyRow, statement

LATENCY_BOUNDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds: the bounds of the histogram of tokens, as ``sql/read_metrics.sql`` has them."""

MOST_TOKENS = 10_000  # of a connector that are counted in a quarter of an hour


def read_metrics(connection: Connection, tenant: UUID, pipeline: str | None) -> Sequence[AnyRow]:
    """The rows of ``sql/read_metrics.sql``, of one pipeline or of all of the tenant's; none for an unknown pipeline."""
    parameters = {"tenant_id": tenant, "pipeline": pipeline, "most": MOST_TOKENS}
    return connection.execute(statement("read_metrics"), parameters).all()
