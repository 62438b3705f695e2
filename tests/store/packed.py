"""Observations, packed as maintenance does it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from app.services import maintenance
from app.store.models import Observation
from app.store.packing import pack, packing
from app.store.partitions import OBSERVATIONS, make_partition

recorded_on: sa.ColumnElement[date] = sa.cast(sa.func.timezone("UTC", Observation.recorded_at), sa.Date)


def make_days(engine: sa.Engine, *days: date) -> None:
    """Their partitions, into which what is in the default partition moves along."""
    with engine.begin() as connection:
        for day in days:
            make_partition(connection, OBSERVATIONS, OBSERVATIONS.period(day), in_use=False)


def pack_days(url: str, since: datetime, until: datetime) -> Sequence[date]:
    with maintenance._turn(url) as connection:
        assert connection is not None
        return pack(connection, since, until)


def copy_observations(connection: sa.Connection, before: timedelta) -> None:
    """All that there is was observed so much earlier, too."""
    columns = Observation.__table__.columns
    earlier = sa.select(*(column - before if column.name == "recorded_at" else column for column in columns))
    connection.execute(sa.insert(Observation).from_select([column.name for column in columns], earlier))


def keep_packed(connection: sa.Connection) -> None:
    """Makes a partition for packed observations of whatever day: for `pack_rows`."""
    bounds = "FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"
    connection.exec_driver_sql(f"CREATE TABLE packed_observation_always PARTITION OF packed_observation {bounds}")


def pack_rows(connection: sa.Connection, connector: UUID, until: date) -> None:
    """Packs the connector's observations of all days before, by the statement that packs partitions."""
    packed = sa.and_(Observation.connector_id == connector, recorded_on < until)
    for day in connection.scalars(sa.select(recorded_on).where(packed).distinct()).all():
        of_it = sa.select(Observation).where(packed, recorded_on == day)
        of_day = of_it.compile(connection, compile_kwargs={"literal_binds": True})
        connection.exec_driver_sql(f"CREATE TEMP TABLE of_the_day AS {of_day}")
        parameters = {"day": day, "connectors": [connector]}
        connection.execute(packing("of_the_day", "packed_observation_always"), parameters)
        connection.exec_driver_sql("DROP TABLE of_the_day")
    connection.execute(sa.delete(Observation).where(packed))
