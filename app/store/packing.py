"""Observations of days that are over, packed: a row for each connector and day takes a fraction of the room that its
observations took, and tells the same (docs/history.md).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import Connection, TextClause, text

from app.store.models import Observation
from app.store.partitions import OBSERVATIONS, OWNS, PACKED
from app.store.retention import Made, detach, made

OF_A_ROW = 1000
"""So many observations at most come into one row: it is unpacked as a whole for whichever of them is asked for."""

_OF_A_TRANSACTION = 50_000
_COLUMNS = [column.name for column in Observation.__table__.columns if column.name != "connector_id"]

_UNANALYZED = ", ".join(f"ALTER {column} SET STATISTICS 0" for column in _COLUMNS if column != "version")
"""So that ANALYZE need not look through all that is packed for frequent values: nobody has a condition on them.

Of one column the planner has to know how many values a row has. A partition does not inherit that.
"""


def pack(connection: Connection, since: datetime, before: datetime) -> list[date]:
    """Packs the days from ``since`` on that were over by ``before``, the oldest first, and answers which.

    Nobody misses an observation meanwhile, nor sees one twice: a day is packed beside its partition, by short
    transactions, and then put in its place by one more. A day that got another observation in between, and one whose
    partition is always in use, are left to the next run; all are to one of the tables' owner.
    """
    first, end = since.astimezone(UTC).date(), before.astimezone(UTC).date()
    with connection.begin():
        if not connection.scalar(OWNS):
            return []
        packed = {each.period for each in made(connection, PACKED) if each.attached}
        observed = list(made(connection, OBSERVATIONS))
    for left_over in [each for each in observed if each.period in packed and not each.attached]:
        _drop(connection, left_over.name)
    days = [
        each
        for each in observed
        if each.attached and first <= each.period.first and each.period.end <= end and each.period not in packed
    ]
    return [day.period.first for day in days if _pack_day(connection, day)]


def _pack_day(connection: Connection, day: Made) -> bool:
    name = f"{PACKED.table}_{day.period.name}"
    _drop(connection, name)  # of a run that did not get to its end
    with connection.begin():
        connection.execute(text(f"CREATE TABLE {name} (LIKE {PACKED.table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
        connection.execute(text(f"ALTER TABLE {name} {_UNANALYZED}"))
    for connectors in _parts(connection, day):
        with connection.begin():
            connection.execute(packing(day.name, name), {"day": day.period.first, "connectors": connectors})
    with connection.begin():
        number = connection.scalar(text(f"SELECT sum(cardinality(version)) FROM {name}"))  # noqa: S608
    if not detach(connection, OBSERVATIONS, day.name, instead=lambda: _attach(connection, day, name, number or 0)):
        return False
    _drop(connection, day.name)
    return True


def _drop(connection: Connection, name: str) -> None:
    with connection.begin():
        connection.execute(text(f"DROP TABLE IF EXISTS {name}"))


def _parts(connection: Connection, day: Made) -> Iterator[list[UUID]]:
    """All connectors of the day, as many at a time as have so many observations that one transaction is short."""
    with connection.begin():
        counted = text(f"SELECT connector_id, count(*) FROM {day.name} GROUP BY 1 ORDER BY 1")  # noqa: S608
        counts = connection.execute(counted).all()
    part: list[UUID] = []
    observations = 0
    for connector, count in counts:
        if part and observations + count > _OF_A_TRANSACTION:
            yield part
            part, observations = [], 0
        part.append(connector)
        observations += count
    if part:
        yield part


def packing(observations: str, into: str) -> TextClause:
    """The statement that packs those of the ``connectors``, all of one ``day``, which are in a table of their own."""
    arrays = ", ".join(f"array_agg({column} ORDER BY version)" for column in _COLUMNS)
    return text(f"""
        INSERT INTO {into} (connector_id, day, number, last_at, last_completed_version, {", ".join(_COLUMNS)})
        SELECT connector_id, :day, number, max(recorded_at), max(completed_version), {arrays}
          FROM (SELECT *, (row_number() OVER (PARTITION BY connector_id ORDER BY version) - 1) / {OF_A_ROW} AS number
                  FROM {observations}
                 WHERE connector_id = ANY(:connectors)) AS numbered
         GROUP BY connector_id, number""")  # noqa: S608


def _attach(connection: Connection, day: Made, name: str, number: int) -> bool:
    """Puts the packed day in its place, unless an observation has come that is not in it; none can come any more."""
    connection.execute(text(f"LOCK TABLE {day.name} IN SHARE MODE"))
    if connection.scalar(text(f"SELECT count(*) FROM {day.name}")) != number:  # noqa: S608
        return False
    low, high = PACKED.bound(day.period.first), PACKED.bound(day.period.end)
    attaching = f"ALTER TABLE {PACKED.table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"
    connection.execute(text(attaching))
    return True
