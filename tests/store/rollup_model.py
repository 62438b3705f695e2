"""What a rollup is to say, in plain Python: what is known is looked up minute by minute, not computed from spans."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Any
from uuid import UUID

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LIFECYCLES = ("running", "paused", "finished", "failed")
STATES = {"lifecycle": (*LIFECYCLES, "unknown"), "progress": ("idle", "moving", "stalled", "rewound")}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A connector's observation, or its removal. All times are whole minutes."""

    at: datetime
    version: int
    removed: bool = False
    epoch_number: int = 0
    received: Any = None
    completed: Any = None
    total_records: int = 0
    num_parse_errors: int = 0
    lag_records: int | None = None
    lag_seconds: float | None = None
    lifecycle: str = "running"
    progress: str | None = None
    health_status: str | None = None
    interval_seconds: float | None = None

    def known_until(self, keep_every: timedelta) -> datetime:
        if self.interval_seconds is None:
            return self.at + DAY
        return self.at + min(DAY, keep_every + timedelta(seconds=3 * self.interval_seconds))


def observation(connector: UUID, moment: Moment) -> dict[str, Any]:
    """The row of one."""
    copied = ("version", "epoch_number", "received", "completed", "total_records", "num_parse_errors", "lag_records")
    also = ("lag_seconds", "progress", "health_status", "interval_seconds")
    zeros = dict.fromkeys(("completed_version", "total_bytes", "buffered_records", "buffered_bytes"), 0)
    return (
        {name: getattr(moment, name) for name in (*copied, *also)}
        | zeros
        | {
            "connector_id": connector,
            "recorded_at": moment.at,
            "num_transport_errors": 0,
            "fatal_error": "gone" if moment.lifecycle == "failed" else None,
            "end_of_input": moment.lifecycle == "finished",
            "paused": moment.lifecycle == "paused",
            "barrier": False,
        }
    )


def rolled_up(
    life: Sequence[Moment], since: datetime, until: datetime, step: timedelta, keep_every: timedelta, now: datetime
) -> dict[datetime, dict[str, Any]]:
    """The rows by their start, of a connector whose moments come in the order of their versions."""
    buckets = {since + n * step: _counted(life, since + n * step, step) for n in range((until - since) // step)}
    for start, row in buckets.items():
        minute = start
        while minute < min(start + step, now):
            _look(life, minute, row, keep_every)
            minute += MINUTE
    return {
        start: row
        for start, row in buckets.items()
        if row["observations"] or any(row[f"{s}_seconds"] for s in LIFECYCLES)
    }


def _counted(life: Sequence[Moment], start: datetime, step: timedelta) -> dict[str, Any]:
    inside = [
        (before, after)
        for before, after in pairwise([None, *life])
        if after is not None and not after.removed and start <= after.at < start + step
    ]
    states = {f"{s}_seconds": 0.0 for s in (*STATES["lifecycle"], *STATES["progress"], "healthy", "unhealthy")}
    return states | {
        "observations": len(inside),
        "reports": sum(after.version - (before.version if before else after.version - 1) for before, after in inside),
        **{f"{name}_delta": _total(_moved(name, *pair) for pair in inside) for name in ("received", "completed")},
        "records_delta": _total(_increase("total_records", *pair) for pair in inside),
        "parse_errors": _total(_increase("num_parse_errors", *pair) for pair in inside),
        "failures": sum(_turned(*pair) for pair in inside),
        "epochs": sum(_opened(*pair) for pair in inside),
        **_spread("lag_records", [after.lag_records for _, after in inside if after.lag_records is not None]),
        **_spread("lag_seconds", [after.lag_seconds for _, after in inside if after.lag_seconds is not None]),
    }


def _look(life: Sequence[Moment], minute: datetime, row: dict[str, Any], keep_every: timedelta) -> None:
    past = [moment for moment in life if moment.at <= minute]
    if not past:
        row["unknown_seconds"] += 60 * bool(life and life[0].version > 1 and not life[0].removed)
    elif not past[-1].removed:
        last = past[-1]
        if minute >= last.known_until(keep_every):
            row["unknown_seconds"] += 60
            return
        row[f"{last.lifecycle}_seconds"] += 60
        if last.progress:
            row[f"{last.progress}_seconds"] += 60
        if last.health_status:
            row[f"{last.health_status.lower()}_seconds"] += 60


def _total(values: Any) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _increase(name: str, before: Moment | None, after: Moment) -> int | None:
    if before is None or before.removed:
        return None
    old, new = getattr(before, name), getattr(after, name)
    return int(new - old if new >= old else new)


def _moved(name: str, before: Moment | None, after: Moment) -> int | None:
    if before is None or before.removed or before.epoch_number != after.epoch_number:
        return None
    old, new = getattr(before, name), getattr(after, name)
    if old is None or new is None or isinstance(old, int) != isinstance(new, int):
        return None
    if old == new:
        return 0
    moved = (
        [max(0, new - old)] if isinstance(new, int) else [max(0, new[part] - old[part]) for part in new if part in old]
    )
    return sum(moved) if moved else None


def _turned(before: Moment | None, after: Moment) -> bool:
    seen_from_the_start = before is not None or after.version == 1
    was = before is not None and not before.removed and before.lifecycle == "failed"
    return after.lifecycle == "failed" and not was and seen_from_the_start


def _opened(before: Moment | None, after: Moment) -> bool:
    seen_from_the_start = before is not None or after.version == 1
    was = before.epoch_number if before and not before.removed else None
    return after.epoch_number > 0 and after.epoch_number != was and seen_from_the_start


def _spread(name: str, values: list[Any]) -> dict[str, Any]:
    if not values:
        return dict.fromkeys(f"{name}_{what}" for what in ("min", "avg", "max", "p95"))
    ranked = sorted(values)
    return {
        f"{name}_min": ranked[0],
        f"{name}_avg": sum(ranked) / len(ranked),
        f"{name}_max": ranked[-1],
        f"{name}_p95": ranked[ceil(0.95 * len(ranked)) - 1],
    }
