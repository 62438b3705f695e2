"""The fleet: all connectors of a tenant by page, those first that need a look."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection

from app.domain.activity import Lifecycle
from app.store.engine import AnyRow, statement

MAX_TEXT = 500  # characters of an error or a health's description; the stats tell them whole
NO_HEALTH = "none"
"""What stands for the health of a connector that says nothing of it."""

_RFC3339 = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_PRESENT = tuple(each.value for each in Lifecycle if each is not Lifecycle.REMOVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which connectors are wanted: those that match all of it. None is no filter; of several values, one will do."""

    pipeline: tuple[str, ...] | None = None
    lifecycle: tuple[str, ...] = _PRESENT
    progress: tuple[str, ...] | None = None
    health: tuple[str, ...] | None = None
    min_lag_records: int | None = None  # a lag that is not known is never enough
    min_lag_seconds: Decimal | None = None
    name_prefix: str | None = None  # of the endpoint name


@dataclass(frozen=True, slots=True)
class Place:
    """A connector's place in the order of the list."""

    rank: int
    pipeline: str
    table: str
    connector: str


_START = Place(-1, "", "", "")


@dataclass(frozen=True, slots=True)
class Page:
    """Connectors as JSON objects, and the last one's place, when there are more after it."""

    members: Sequence[str]
    last: Place | None


def read_page(connection: Connection, tenant: UUID, filters: Filters, after: Place | None, limit: int) -> Page:
    """The first connectors, at most ``limit``, that match and come after that place in the list, as they are now."""
    place = after or _START
    parameters = {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(filters).items()},
        **{f"after_{name}": value for name, value in asdict(place).items()},
        "tenant_id": tenant,
        "limit": limit,
        "max_text": MAX_TEXT,
        "rfc3339": _RFC3339,
    }
    rows = connection.execute(statement("read_fleet"), parameters).all()
    return Page([row.member for row in rows[:limit]], _place(rows[limit - 1]) if len(rows) > limit else None)


def _place(row: AnyRow) -> Place:
    return Place(row.rank, row.pipeline, row.table_name, row.connector_name)
