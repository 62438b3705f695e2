"""The pairs of transactions that meet."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from app.domain.status import Recording
from tests.robustness.schedules.promises import (
    both_count,
    check_waits_for_nobody,
    old_token_has_expired,
    one_wins,
    token_is_refused_or_lost,
    token_outlives_it,
    token_waits_for_two_more,
    token_waits_for_what_was_acknowledged,
)
from tests.robustness.schedules.scene import Scene
from tests.robustness.schedules.stepping import Played
from tests.robustness.schedules.works import (
    Work,
    checking,
    dropping_partition,
    issuing,
    making_partitions,
    measured,
    old_partition_given,
    old_token_given,
    partition_of_today_missing,
    removing,
    reporting,
    stopping_pipeline,
    token_one_report_away,
)

SYNCHRONOUS = Recording.SYNCHRONOUS


@dataclass(frozen=True)
class Pair:
    a: Work
    b: Work
    steps: tuple[int, int]  # that each takes, where nothing stops it
    known: str = "a"  # the connectors that have a version 1
    recording: Recording = Recording.SAMPLED
    shared: bool = True  # whether there is a pipeline, which is that of all scenes
    mirrored: bool = False  # the sides do the same: of two schedules that mirror each other one is enough
    given: Work = lambda scene: None
    holds: Callable[[Scene, Played], None] = lambda scene, played: None


def _reports(a: str, b: str, steps: int, condition: int | None = 1, epochs: str = "", **options: Any) -> Pair:
    """Reports against reports, of one kind."""
    recording = SYNCHRONOUS if condition is None else Recording.SAMPLED
    labels = [f"new-{label}" for label in epochs] or ["old", "old"]
    work_a, work_b = (
        reporting(names, measured(mark, condition, epoch=label, recording=recording))
        for mark, names, label in zip((1, 2), (a, b), labels, strict=True)
    )
    holds = both_count if condition is None else one_wins
    pair = Pair(work_a, work_b, (steps, steps), recording=recording, mirrored=True, holds=holds)
    return replace(pair, **options)


_REPORT = reporting("a", measured(1, 1))
_FIRST = reporting("a", measured(1, 0))
_SYNCHRONOUS = reporting("a", measured(1, None, recording=SYNCHRONOUS))
_COMPLETING = reporting("a", measured(1, 2))

PAIRS = {
    "report, issue": Pair(_REPORT, issuing, (4, 1), holds=token_waits_for_two_more),
    "synchronous report, issue": Pair(
        _SYNCHRONOUS, issuing, (4, 1), recording=SYNCHRONOUS, holds=token_waits_for_what_was_acknowledged
    ),
    "report that completes, check": Pair(
        _COMPLETING, checking(), (4, 1), given=token_one_report_away, holds=check_waits_for_nobody
    ),
    "report, report": _reports("a", "a", 4),
    "synchronous report, synchronous report": _reports("a", "a", 4, None),
    "report, synchronous report": Pair(_REPORT, _SYNCHRONOUS, (4, 4), recording=SYNCHRONOUS),
    "first report, first report": _reports("a", "a", 4, 0, known=""),
    "first report, first report, new pipeline": _reports("a", "a", 5, 0, known="", shared=False),
    "first synchronous report, first synchronous report": _reports("a", "a", 4, None, known=""),
    "new epoch, new epoch": _reports("a", "a", 4, epochs="xy"),
    "new epoch, same new epoch": _reports("a", "a", 4, epochs="xx"),
    "new epoch, zombie": Pair(
        reporting("a", measured(1, 1, epoch="new", recording=SYNCHRONOUS)),
        _SYNCHRONOUS,
        (4, 4),
        recording=SYNCHRONOUS,
    ),
    "batch, batch backwards": _reports("abc", "cba", 4, known="abc"),
    "synchronous batch, batch backwards": _reports("abc", "cba", 4, None, known="abc"),
    "first batch, first batch backwards": _reports("abc", "cba", 4, 0, known=""),
    "first synchronous batch, batch backwards": _reports("ab", "ba", 4, None, known=""),
    "synchronous batch of known and new, batch backwards": _reports("abc", "cba", 5, None, known="b"),
    "overlapping batches": Pair(reporting("ab", measured(1, 1)), reporting("cb", measured(2, 1)), (4, 4), known="abc"),
    "batch, removal": Pair(reporting("ba", measured(1, 1)), removing, (4, 5), known="ab"),
    "batch, issue": Pair(
        reporting("cba", measured(1, 1)), issuing, (4, 1), known="abc", holds=token_waits_for_two_more
    ),
    "report, removal": Pair(_REPORT, removing, (4, 5)),
    "synchronous report, removal": Pair(_SYNCHRONOUS, removing, (4, 5), recording=SYNCHRONOUS),
    "new epoch, removal": Pair(reporting("a", measured(1, 1, epoch="new")), removing, (4, 5)),
    "removal, issue": Pair(removing, issuing, (5, 1), holds=token_is_refused_or_lost),
    "removal, check": Pair(removing, checking(), (5, 1), given=issuing, holds=check_waits_for_nobody),
    "removal, removal": Pair(removing, removing, (5, 5), mirrored=True),
    "report that restores, the same": _reports("a", "a", 4, 0, given=removing),
    "report that restores, removal": Pair(_FIRST, removing, (4, 5), given=removing),
    "pipeline stopped, issue": Pair(stopping_pipeline, issuing, (2, 1), shared=False, given=_FIRST),
    "pipeline stopped, first report": Pair(stopping_pipeline, _FIRST, (2, 5), known="", shared=False),
    "pipeline stopped, the same": Pair(
        stopping_pipeline, stopping_pipeline, (2, 2), known="", shared=False, mirrored=True
    ),
    "partition dropped, check": Pair(
        dropping_partition, checking(), (4, 1), given=old_partition_given, holds=token_outlives_it
    ),
    "partition dropped, issue": Pair(
        dropping_partition, issuing, (4, 1), given=old_partition_given, holds=token_outlives_it
    ),
    "partition dropped, check of a token in it": Pair(
        dropping_partition, checking(), (4, 1), given=old_token_given, holds=old_token_has_expired
    ),
    "partition dropped, report": Pair(dropping_partition, _REPORT, (4, 4), given=old_token_given),
    "partition dropped too early, check of a token in it": Pair(
        dropping_partition, checking(timedelta(days=36500)), (4, 1), given=old_token_given
    ),
    "partition of today, check": Pair(
        making_partitions, checking(), (17, 1), given=partition_of_today_missing, holds=token_outlives_it
    ),
    "partition of today, issue": Pair(
        making_partitions, issuing, (17, 1), given=partition_of_today_missing, holds=token_outlives_it
    ),
}
