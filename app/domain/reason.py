"""Why a token is not done yet, in one sentence for people."""

from app.domain.activity import STALLED_AFTER, Lifecycle, Progress
from app.domain.explanation import Explanation, Known, Obstacle
from app.domain.status import format_time

_UNITS = (("days", 86400), ("h", 3600), ("min", 60))


def reason(explanation: Explanation) -> str:
    """The sentence: of all that is wrong, what is to be looked at first, and what the token still waits for."""
    if explanation.lost:
        return explanation.lost.message
    if explanation.obstacle is None:
        return "Everything that the connector had received before the token was asked for is processed."
    clauses = (_trouble(explanation.known), _wanting(explanation.obstacle, explanation.known))
    sentence = "; ".join(clause for clause in clauses if clause)
    return f"{sentence[0].upper()}{sentence[1:]}."


def about(seconds: float) -> str:
    """A length of time, roughly, in the greatest unit of which it has two at least."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _trouble(known: Known) -> str | None:
    if known.pipeline_stopped:
        return "the pipeline is recorded as stopped"
    if known.lifecycle is Lifecycle.FAILED:
        return "the connector has failed"
    if known.not_reporting_since is not None:
        return f"the connector has not reported since {format_time(known.not_reporting_since)}"
    if known.lifecycle is Lifecycle.PAUSED:
        return "the connector is paused"
    if known.progress is Progress.STALLED:
        return f"nothing was completed in the last {STALLED_AFTER} reports"
    if known.progress is Progress.REWOUND:
        return "the consumer was rewound"
    return None


def _wanting(obstacle: Obstacle, known: Known) -> str:
    if obstacle.checkpoint is None:
        needed = "one further report is" if obstacle.reports == 1 else f"{obstacle.reports} further reports are"
        return f"{needed} needed to bind it to a position"
    if obstacle.records is None:
        return "nobody knows how many records are still to be completed"
    left = "1 record is" if obstacle.records == 1 else f"{obstacle.records:,} records are"
    if obstacle.estimate is None or obstacle.estimate.at <= known.now:  # overdue: nobody knows how long it takes
        return f"{left} still to be completed"
    return f"{left} still to be completed, which takes about {about(obstacle.estimate.seconds_from(known.now))}"
