"""What a connector is doing: its lifecycle and its progress, two separate axes, and how a report moves the latter.

Progress is judged as a report is recorded, from its position and the reports before it, with no threshold to tune. How
both are read, and when what was judged is too old to be told, the view ``connector_activity`` decides.
"""

from dataclasses import dataclass
from enum import Enum

from app.domain.position import Position


class Lifecycle(Enum):
    """What a connector is, by its own account and by removal; of several, the first one here counts."""

    REMOVED = "removed"
    FAILED = "failed"  # it told of a fatal error
    FINISHED = "finished"  # its input has ended
    PAUSED = "paused"
    RUNNING = "running"


class Progress(Enum):
    """Whether a connector gets on with its input."""

    IDLE = "idle"  # nothing waits
    MOVING = "moving"
    STALLED = "stalled"  # input waits, and no more of it was completed for `STALLED_AFTER` reports
    REWOUND = "rewound"  # completed went back, and has not moved forward since
    UNKNOWN = "unknown"  # no position, or nobody knows what is completed


TROUBLE = (Progress.STALLED, Progress.REWOUND)
"""What somebody should have a look at."""

STALLED_AFTER = 3
"""Reports with a position, in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a connector has got on, over its reports of the present epoch."""

    progress: Progress = Progress.UNKNOWN
    unmoved: int = 0  # reports in a row, with a position, that found input waiting and completed not moved forward


def follow(pace: Pace, before: Position | None, after: Position | None, *, waits: bool) -> Pace:
    """The pace after a report that found ``after`` completed, where the one before it had found ``before``.

    ``waits``: whether input waits now. None stands for a completed position that is not known: compared with that,
    nothing has stood still or gone back.
    """
    if after is None:
        return Pace()
    if not waits:
        return Pace(progress=Progress.IDLE)
    if before is None:
        return Pace(progress=Progress.MOVING)
    forward = after.exceeds(before)
    unmoved = 0 if forward else pace.unmoved + 1
    if before.exceeds(after) or (pace.progress is Progress.REWOUND and not forward):
        return Pace(progress=Progress.REWOUND, unmoved=unmoved)
    return Pace(progress=Progress.STALLED if unmoved >= STALLED_AFTER else Progress.MOVING, unmoved=unmoved)
