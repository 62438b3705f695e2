"""What the list of the fleet is asked for: the query's parameters, and the cursor that leads from page to page."""

import base64
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from decimal import Decimal
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from app.api.page_query import DEFAULT_LIMIT, LIMIT, Read, choices, one, read
from app.domain.activity import Lifecycle, Progress
from app.domain.errors import InvalidParam
from app.domain.names import MAX_NAME, canonical_table, connector_name, pipeline_name
from app.store.fleet import NO_HEALTH, Filters, Place

CHOICES = {
    "lifecycle": tuple(each.value for each in Lifecycle),
    "progress": tuple(each.value for each in Progress),
    "health": ("Healthy", "Unhealthy", NO_HEALTH),
}

_MAX_PREFIX = 2 * MAX_NAME + 1  # of an endpoint name
# No control characters, lone surrogates or U+FFFD, which no name holds (app/domain/names.py).
_PREFIX = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]{{1,{_MAX_PREFIX}}}")
_RECORDS = re.compile(r"\d{1,23}", re.ASCII)  # offsets below 2^63, of 2048 components
_SECONDS = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,4096}", re.ASCII)
_RANKS = range(10)  # more than there are
_BAD_CURSOR = "cursor: not one of these filters; begin again without it"


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """A page of the list."""

    filters: Filters
    limit: int
    after: Place | None  # None: the first page

    @classmethod
    def parse(cls, arguments: MultiDict[str, str]) -> "FleetQuery":
        """The page that a query asks for. Raises InvalidParam, which names the parameter."""
        given = read(arguments, _PARAMETERS)
        limit, cursor = given.pop("limit", DEFAULT_LIMIT), given.pop("cursor", None)
        filters = Filters(**given)
        return cls(filters, limit, None if cursor is None else _place(cursor, filters))

    def next(self, last: Place) -> str:
        """The page after the one that ends there, as a reference relative to this one: a query and nothing else."""
        filters = {name: value for name, value in asdict(self.filters).items() if value != _UNFILTERED[name]}
        query = {**filters, "limit": self.limit, "cursor": _cursor(last, self.filters)}
        return f"?{urlencode(query, doseq=True)}"


_UNFILTERED = asdict(Filters())


def _cursor(place: Place, filters: Filters) -> str:
    """A place, sealed with the filters: under others it would lead nowhere that anybody means.

    Base64url without padding of a JSON array: a digest, and the place's members. It is not signed, for who forges one
    sees no more than without.
    """
    digest = hashlib.sha256(repr(filters).encode()).hexdigest()[:16]
    text = json.dumps([digest, *asdict(place).values()], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(cursor: str, filters: Filters) -> Place:
    """The place in a cursor; only what `_cursor` has made for the same filters is one."""
    try:
        _, rank, pipeline, table, connector = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        place = Place(int(rank), pipeline_name(pipeline), canonical_table(f'"{table}"'), connector_name(connector))
        if place.rank in _RANKS and _cursor(place, filters) == cursor:
            return place
    except (ValueError, TypeError, OverflowError, RecursionError, InvalidParam):
        pass
    raise InvalidParam(_BAD_CURSOR)


def _pipelines(values: list[str]) -> tuple[str, ...]:
    return tuple(sorted({pipeline_name(value) for value in values}))


_PARAMETERS: dict[str, Read] = {
    "pipeline": _pipelines,
    **{name: choices(values) for name, values in CHOICES.items()},
    "min_lag_records": one(_RECORDS, int, "must be a number of records, such as 1000"),
    # A decimal, which the next page's query spells as it was read; a float would become 1e-06.
    "min_lag_seconds": one(_SECONDS, Decimal, "must be a number of seconds, such as 0.5"),
    "name_prefix": one(
        _PREFIX, str, f"must be 1 to {_MAX_PREFIX} printable characters, with which an endpoint name begins"
    ),
    "limit": LIMIT,
    "cursor": one(_CURSOR, str, "must be one from a page before"),
}
