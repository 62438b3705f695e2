"""A token's explanation as lines for people, of which each begins with what it is about."""

from collections.abc import Iterator
from datetime import datetime

from app.domain.explanation import WORST, Completion, Component, Explanation, Known, Obstacle
from app.domain.rate import Estimate, Rate
from app.domain.reason import about, reason
from app.domain.status import format_time


def token_text(explanation: Explanation) -> str:
    """The lines, in columns."""
    return "\n".join(f"{label:<11}{text}" for label, text in _lines(explanation))


def _lines(explanation: Explanation) -> Iterator[tuple[str, str]]:
    known, lost = explanation.known, explanation.lost
    yield "status", f"{explanation.status} ({lost.code})" if lost else explanation.status
    yield "why", reason(explanation)
    yield "connector", f"{known.table}.{known.connector} of pipeline {known.pipeline}, tenant {known.tenant}"
    yield "issued", f"{format_time(known.issued_at)} by {known.issued_by}, in epoch {_epoch(known)}"
    yield "waits for", _binding(known)
    if explanation.completion:
        yield "completed", _completion(explanation.completion)
    if explanation.obstacle:
        yield from _obstacle(explanation.obstacle, known)


def _epoch(known: Known) -> str:
    number, label = known.record.epoch_number, known.epoch_label
    if label is None:
        return str(number)
    return f"{number} ({label if label.isprintable() else ascii(label)})"  # a terminal would obey an escape


def _binding(known: Known) -> str:
    record = known.record
    newest = f"the newest is {known.version}"
    return f"version {record.binding} to be completed; version {record.completed_version} is, {newest}"


def _completion(completion: Completion) -> str:
    by = format_time(completion.by)
    return f"by {by}" if completion.after is None else f"after {format_time(completion.after)}, by {by}"


def _obstacle(obstacle: Obstacle, known: Known) -> Iterator[tuple[str, str]]:
    yield "reports", _reports(known)
    if obstacle.checkpoint:
        waited = about(obstacle.lag_seconds(known.now) or 0)
        yield "position", f"that of version {obstacle.checkpoint.version}, first recorded {waited} ago"
        yield from _table(obstacle.components)
    if obstacle.rate:
        yield "rate", _rate(obstacle.rate)
    yield "eta", _eta(obstacle.estimate, known.now) if obstacle.estimate else "not known"


def _reports(known: Known) -> str:
    late = ", and the next one is overdue" if known.not_reporting_since else ""
    return f"{known.lifecycle.value}, {known.progress.value}; the newest is of {format_time(known.recorded_at)}{late}"


def _table(components: tuple[Component, ...]) -> Iterator[tuple[str, str]]:
    rows = [("component", "needed", "reached", "missing"), *(_cells(each) for each in components[:WORST])]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for place, (name, *numbers) in enumerate(rows):
        cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        yield "" if place else "missing", "  ".join([name.ljust(widths[0]), *cells])
    if len(components) > WORST:
        yield "", f"and {len(components) - WORST} more"


def _cells(component: Component) -> tuple[str, str, str, str]:
    reached, missing = ("?" if n is None else str(n) for n in (component.reached, component.missing))
    return component.name or "-", str(component.needed), reached, missing


def _rate(rate: Rate) -> str:
    span = f"from {format_time(rate.since)} to {format_time(rate.until)}"
    return f"{rate.per_second(rate.records):,.1f} records/s: {rate.records} {span}"


def _eta(estimate: Estimate, now: datetime) -> str:
    slowest = f", by component {estimate.component}" if estimate.component else ""
    return f"{format_time(estimate.at)}, in about {about(estimate.seconds_from(now))}{slowest}"
