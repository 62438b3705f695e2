"""A connector's history, as it is kept."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from app.domain.chart import Chart
from app.domain.errors import UnknownInputEndpoint, UnknownPipelineName
from app.domain.names import Address
from app.store.engine import AnyRow, statement


def read_history(connection: Connection, address: Address, chart: Chart, *, keep_every: timedelta) -> Sequence[AnyRow]:
    """The rows of those of the chart's steps of which something is known, with the columns of `models.RolledUp`.

    Raises UnknownPipelineName and UnknownInputEndpoint.
    """
    parameters = {
        "pipeline_id": address.pipeline_id,
        "connector_id": address.id,
        "resolution": chart.resolution.value,
        "since": chart.since,
        "until": chart.until,
        "step": chart.step,
        "keep_every": keep_every,
    }
    rows = connection.execute(statement("read_history"), parameters).all()
    if not rows[0].pipeline_known:
        raise UnknownPipelineName(address.pipeline)
    if not rows[0].connector_known:
        raise UnknownInputEndpoint(address.endpoint)
    return [row for row in rows if row.starts_at is not None]
