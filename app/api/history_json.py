"""History as JSON: the points of a chart, and errors with what is missing between them."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.domain.chart import Chart
from app.domain.error_gaps import Gap, gaps
from app.domain.status import ErrorKind, format_time
from app.store.engine import AnyRow
from app.store.models import ConnectorDaily

_NOT_TOLD = ("connector_id", "starts_at", "computed_at")
_KEPT = tuple(column.name for column in ConnectorDaily.__table__.columns if column.name not in _NOT_TOLD)
_RATES = {f"{name}_per_second": f"{name}_delta" for name in ("received", "completed", "records", "bytes")}
_KNOWN = ("running_seconds", "paused_seconds", "finished_seconds", "failed_seconds")

POINT_COLUMNS = ("at", *_RATES, *_KEPT)
ERROR_COLUMNS = ("kind", "index", "timestamp", "tag", "message", "missing_from", "missing_to")


def points(chart: Chart, rows: Sequence[AnyRow]) -> Iterator[dict[str, Any]]:
    """A point for each step; of one of which nothing is known, every member but its time is null."""
    found = {row.starts_at: row._mapping for row in rows}
    for at in chart.steps():
        row = found.get(at)
        yield {"at": format_time(at)} | (dict.fromkeys(POINT_COLUMNS[1:]) if row is None else _values(row))


def _values(row: Any) -> dict[str, Any]:
    known = sum(row[name] for name in _KNOWN)
    rates = {name: _rate(row[delta], known) for name, delta in _RATES.items()}
    return rates | {name: _plain(row[name]) for name in _KEPT}


def _rate(delta: Decimal | None, seconds: float) -> float | None:
    return None if delta is None or seconds <= 0 else round(float(delta) / seconds, 6)


def _plain(value: Any) -> Any:
    """Counts are integers, however large; of seconds, microseconds are told."""
    if isinstance(value, Decimal):
        return int(value)
    return round(value, 6) if isinstance(value, float) and math.isfinite(value) else value


def errors(row: AnyRow, kind: ErrorKind) -> list[dict[str, Any]]:
    """A connector's errors of a kind by their index, each gap between them where it is; of a row of stats."""
    kept = [error for error in row.errors or () if error["kind"] == kind.value]
    counted = getattr(row, f"num_{kind.value}_errors")
    entries = [(error["index"], _error(error)) for error in kept]
    entries += [(gap.first, _gap(gap)) for gap in gaps([error["index"] for error in kept], counted)]
    return [entry for _, entry in sorted(entries, key=lambda each: each[0])]


def _error(error: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": error["index"],
        "timestamp": format_time(datetime.fromisoformat(error["timestamp"])),
        "tag": error["tag"],
        "message": error["message"],
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {"missing_from": gap.first, "missing_to": gap.last}
