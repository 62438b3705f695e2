"""A token's explanation as JSON; its members are those of `ExplanationSchema`."""

from datetime import datetime
from typing import Any

from app.api.errors import members
from app.domain.explanation import WORST, Component, Explanation, Known, Obstacle
from app.domain.rate import Estimate, Rate
from app.domain.reason import reason
from app.domain.status import format_time


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """The document."""
    known, obstacle, completion = explanation.known, explanation.obstacle, explanation.completion
    return {
        "token": str(explanation.token),
        "status": explanation.status,
        "reason": reason(explanation),
        "error": explanation.lost and members(explanation.lost),
        "pipeline": known.pipeline,
        "table": known.table,
        "connector": known.connector,
        "issued_at": format_time(known.issued_at),
        "issued_by": known.issued_by,
        "epoch": known.epoch_label,
        "epoch_number": known.record.epoch_number,
        "version": known.version,
        "completed_version": known.record.completed_version,
        "binding": known.record.binding,
        "bound": explanation.bound,
        "bound_version": obstacle.checkpoint.version if obstacle and obstacle.checkpoint else None,
        "completed_after": _time(completion.after if completion else None),
        "completed_by": _time(completion.by if completion else None),
        "holding_back": obstacle and _holding_back(obstacle, known),
    }


def _holding_back(obstacle: Obstacle, known: Known) -> dict[str, Any]:
    checkpoint = obstacle.checkpoint
    return {
        "reports": obstacle.reports,
        "missing_records": obstacle.records,
        "waiting_since": _time(checkpoint.at if checkpoint else None),
        "lag_seconds": obstacle.lag_seconds(known.now),
        "components": [_component(component) for component in obstacle.components[:WORST]],
        "more_components": max(0, len(obstacle.components) - WORST),
        "pipeline_stopped": known.pipeline_stopped,
        "lifecycle": known.lifecycle.value,
        "progress": known.progress.value,
        "recorded_at": format_time(known.recorded_at),
        "not_reporting_since": _time(known.not_reporting_since),
        "rate": obstacle.rate and _rate(obstacle.rate),
        "eta": obstacle.estimate and _eta(obstacle.estimate, known.now),
    }


def _component(component: Component) -> dict[str, Any]:
    return {
        "component": component.name or None,
        "needed": component.needed,
        "reached": component.reached,
        "missing": component.missing,
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "records_per_second": rate.per_second(rate.records),
        "records": rate.records,
        "since": format_time(rate.since),
        "until": format_time(rate.until),
    }


def _eta(estimate: Estimate, now: datetime) -> dict[str, Any]:
    return {
        "at": format_time(estimate.at),
        "seconds": estimate.seconds_from(now),
        "component": estimate.component or None,
        "records_per_second": estimate.records_per_second,
    }


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else format_time(instant)
