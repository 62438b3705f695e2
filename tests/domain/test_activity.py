"""Progress on random histories, against what their reports say when one looks back at all of them; and its mutants."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain import activity, connector
from app.domain.activity import Pace, Progress
from app.domain.connector import Connector, Report, StreamPosition
from app.domain.position import Position
from tests.domain.reports import NOW, History, Wrong

HISTORIES = 2000


def test_the_pace_is_what_the_reports_tell() -> None:
    seen = dict.fromkeys(Progress, 0)
    for seed in range(HISTORIES):
        history = History(seed)
        try:
            history.play()
        except Wrong as wrong:
            pytest.fail(f"History({seed}).play(): {wrong}")
        seen[history.record.pace.progress] += 1
    assert min(seen.values()) > HISTORIES / 50, f"the histories end too rarely in some: {seen}"


def reported(*completed: Any, received: Any = 10) -> Progress:
    """The progress after reports that found so much completed; "status" is a report without a position."""
    record = Connector()
    for each in completed:
        position = StreamPosition(
            epoch=None,
            received=Position.parse(received),
            completed=None if each is None else Position.parse(0 if each == "status" else each),
        )
        report = Report(if_match=record.version, position=None if each == "status" else position)
        record = connector.accept(record, report, now=NOW, closed_labels=(), keep_every=timedelta(0)).connector
    return record.pace.progress


@pytest.mark.parametrize(
    ("completed", "progress"),
    [
        (["status"], Progress.UNKNOWN),
        ([None], Progress.UNKNOWN),
        ([10], Progress.IDLE),
        ([12], Progress.IDLE),
        ([10, 10, 10, 10, 10], Progress.IDLE),
        ([3], Progress.MOVING),
        ([3, 3, 3], Progress.MOVING),
        ([3, 3, 3, 3], Progress.STALLED),
        ([3, 3, 3, "status"], Progress.MOVING),
        ([3, 3, 3, "status", "status", 3], Progress.STALLED),
        ([3, 3, 3, 3, "status"], Progress.STALLED),
        ([3, 3, 3, 3, 4], Progress.MOVING),
        ([3, 3, 3, 3, None], Progress.UNKNOWN),
        ([3, 3, 3, None, 3, 3, 3], Progress.MOVING),
        ([10, 9], Progress.REWOUND),
        ([12, 11], Progress.IDLE),
        ([9, 8, 8, 8, 8, 8], Progress.REWOUND),
        ([9, 8, 9], Progress.MOVING),
        ([9, 8, 10], Progress.IDLE),
        ([9, 8, None, 8], Progress.MOVING),
    ],
)
def test_progress_by_example(completed: list[Any], progress: Progress) -> None:
    assert reported(*completed) is progress


def test_one_component_that_moves_is_enough_and_one_that_goes_back_too() -> None:
    received = {"0": 9, "1": 9}
    assert reported(*({"0": 1, "1": n} for n in range(6)), received=received) is Progress.MOVING
    assert reported({"0": 1, "1": 1}, {"0": 5, "1": 0}, received=received) is Progress.REWOUND
    assert reported({"0": 1, "1": 1}, {"0": 5}, received=received) is Progress.REWOUND


Patch = Callable[[pytest.MonkeyPatch], None]


def _following(rule: Callable[..., Pace]) -> Patch:
    return lambda patch: patch.setattr(connector, "follow", rule)


def _stalled_after(reports: int) -> Patch:
    return lambda patch: patch.setattr(activity, "STALLED_AFTER", reports)


def _exceeds(rule: Callable[[Position, Position], bool]) -> Patch:
    return lambda patch: patch.setattr(Position, "exceeds", rule)


def _exceeds_in_all(mine: Position, other: Position) -> bool:
    return all(other.offsets.get(name, 0) < offset for name, offset in mine.offsets.items())


def _exceeds_or_equals(mine: Position, other: Position) -> bool:
    return any(other.offsets.get(name, 0) <= offset for name, offset in mine.offsets.items())


def _a_missing_component_is_exceeded(mine: Position, other: Position) -> bool:
    return any(other.offsets.get(name, -1) < offset for name, offset in mine.offsets.items())


def _unknown_leaves_it(pace: Pace, before: Any, after: Any, *, waits: bool) -> Pace:
    return pace if after is None else activity.follow(pace, before, after, waits=waits)


def _idle_keeps_the_count(pace: Pace, before: Any, after: Any, *, waits: bool) -> Pace:
    following = activity.follow(pace, before, after, waits=waits)
    return following if waits else replace(following, unmoved=pace.unmoved)


def _rewound_for_one_report(pace: Pace, before: Any, after: Any, *, waits: bool) -> Pace:
    return activity.follow(Pace(unmoved=pace.unmoved), before, after, waits=waits)


def _rewound_until_nothing_waits(pace: Pace, before: Any, after: Any, *, waits: bool) -> Pace:
    following = activity.follow(pace, before, after, waits=waits)
    rewound = pace.progress is Progress.REWOUND and following.progress is Progress.MOVING
    return replace(following, progress=Progress.REWOUND) if rewound else following


def _rewound_though_nothing_waits(pace: Pace, before: Any, after: Any, *, waits: bool) -> Pace:
    return activity.follow(pace, before, after, waits=waits or (before and after and before.exceeds(after)))


def _nothing_ever_waits(pace: Pace, before: Any, after: Any, *, waits: bool) -> Pace:
    return activity.follow(pace, before, after, waits=False)


def _the_first_counts(pace: Pace, before: Any, after: Any, *, waits: bool) -> Pace:
    return activity.follow(pace, before or after, after, waits=waits)


def _stalled_before_rewound(pace: Pace, before: Any, after: Any, *, waits: bool) -> Pace:
    following = activity.follow(pace, before, after, waits=waits)
    return replace(following, progress=Progress.STALLED) if following.unmoved >= 3 else following


def _an_epoch_goes_on(patch: pytest.MonkeyPatch) -> None:
    honest = connector._enter_epoch
    patch.setattr(
        connector, "_enter_epoch", lambda before, opened: replace(honest(before, opened), completed=before.completed)
    )


def _removal_leaves_it(patch: pytest.MonkeyPatch) -> None:
    honest = connector.remove

    def remove(before: Connector) -> Any:
        removed = honest(before)
        return replace(removed, connector=replace(removed.connector, pace=before.pace))

    patch.setattr(connector, "remove", remove)


def _status_only_counts(patch: pytest.MonkeyPatch) -> None:
    honest = connector.accept

    def accept(before: Connector, report: Report, **kwargs: Any) -> Any:
        accepted = honest(before, report, **kwargs)
        if report.position is not None or before.completed is None:
            return accepted
        pace = activity.follow(before.pace, before.completed, before.completed, waits=bool(before.frontier))
        return replace(accepted, connector=replace(accepted.connector, pace=pace))

    patch.setattr(connector, "accept", accept)


MUTANTS: dict[str, Patch] = {
    "stalled after two": _stalled_after(2),
    "stalled after four": _stalled_after(4),
    "all components for any": _exceeds(_exceeds_in_all),
    "equal is forward": _exceeds(_exceeds_or_equals),
    "a missing component is exceeded": _exceeds(_a_missing_component_is_exceeded),
    "unknown leaves it": _following(_unknown_leaves_it),
    "idle keeps the count": _following(_idle_keeps_the_count),
    "rewound for one report": _following(_rewound_for_one_report),
    "rewound until nothing waits": _following(_rewound_until_nothing_waits),
    "rewound though nothing waits": _following(_rewound_though_nothing_waits),
    "nothing ever waits": _following(_nothing_ever_waits),
    "the first counts": _following(_the_first_counts),
    "stalled before rewound": _following(_stalled_before_rewound),
    "an epoch goes on": _an_epoch_goes_on,
    "removal leaves it": _removal_leaves_it,
    "status-only counts": _status_only_counts,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[mutant](monkeypatch)
    for seed in range(HISTORIES):
        try:
            History(seed).play()
        except Wrong as wrong:
            print(f"caught by History({seed}).play(): {wrong}")
            return
    pytest.fail(f"not caught in {HISTORIES} histories")
