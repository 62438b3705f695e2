"""Reports in batches."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from flask import Response

from app import metrics
from app.api import examples, runtime
from app.api.blueprint import Blueprint
from app.api.body import load, read_json
from app.api.errors import members, status_of
from app.api.report_schemas import MAX_REPORTS, ReportItemSchema, ReportResultSchema
from app.api.runtime import tenant
from app.api.stats_json import dump
from app.domain.errors import InvalidParam, InvalidReport, MalformedBody, ServiceUnavailable, TidemarkError
from app.domain.names import Address, pipeline_name
from app.domain.roles import Role
from app.services.report import Addressed, Outcome, record
from app.store.engine import transact

_TRANSACTION = 100  # reports

reports = Blueprint("reports", __name__, url_prefix="/v0", description="Reports in batches")

_ITEM = {"table": "orders", "connector": "billing", "if_match": 6, **examples.REPORT}
_RESULTS = [
    {"table": "orders", "connector": "billing", "status": 204, "version": 7},
    {
        "table": "orders",
        "connector": "audit",
        "status": 412,
        "message": "Another report was recorded since …",
        "error_code": "PreconditionFailed",
        "details": {"current_version": 4},
    },
]


@reports.route("/pipelines/<pipeline>/reports", methods=["POST"])
@reports.refuses(
    Role.WRITE,
    InvalidParam("pipeline: use 1 to 63 letters, digits, '-' or '_'"),
    MalformedBody(),
    InvalidReport(f"The body must be an array of at most {MAX_REPORTS} reports"),
)
@reports.response(200, ReportResultSchema(many=True), example=_RESULTS)
@reports.doc(
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "array", "maxItems": MAX_REPORTS, "items": ReportItemSchema},
                "example": [_ITEM],
            }
        },
    }
)
def post_reports(pipeline: str) -> Response:
    """Report many connectors of a pipeline at once

    Required role: `write` or higher.

    Answers in the order of the reports; each is accepted or refused for itself. A connector can be named once: the
    version to report against cannot be learnt inside a batch.
    """
    name = pipeline_name(pipeline)
    items = _items(read_json())
    parsed = _refuse_repeats([_parse(name, item) for item in items])
    outcomes = iter(_record([item for item in parsed if isinstance(item, Addressed)]))
    results = [item if isinstance(item, TidemarkError) else next(outcomes) for item in parsed]
    body = [_result(item, outcome) for item, outcome in zip(items, results, strict=True)]
    return Response(dump(body), mimetype="application/json")


def _record(items: list[Addressed]) -> list[Outcome]:
    """Records the reports, so many in a transaction that it stays short, however long their frontiers are.

    When the database does not answer at first, that is the answer to the request; later on, it is that to the reports
    which are not recorded yet. Raises ServiceUnavailable.
    """
    here = runtime.current()
    outcomes: list[Outcome] = []
    for start in range(0, len(items), _TRANSACTION):
        work = partial(record, items=items[start : start + _TRANSACTION], keep_every=here.config.history_interval)
        try:
            recorded = transact(here.engine, work)
            metrics.count_batch("report", recorded)
            outcomes += recorded
        except ServiceUnavailable as error:
            if not outcomes:
                raise
            return outcomes + [error] * (len(items) - len(outcomes))
    return outcomes


def _items(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, list) or len(body) > MAX_REPORTS or not all(isinstance(item, dict) for item in body):
        raise InvalidReport(f"The body must be an array of at most {MAX_REPORTS} reports")
    return body


def _parse(pipeline: str, item: dict[str, Any]) -> Addressed | TidemarkError:
    try:
        table, connector, report = load(_item_schema(), item)
    except InvalidReport as refused:
        return refused
    return Addressed(Address(tenant(), pipeline, table, connector), report)


@cache
def _item_schema() -> ReportItemSchema:
    """One for all: to make one takes as long as to load an item by it."""
    return ReportItemSchema()


def _refuse_repeats(items: Sequence[Addressed | TidemarkError]) -> list[Addressed | TidemarkError]:
    """Only the first report to a connector may stand: a later one's version would have been guessed, not learnt."""
    seen: set[Address] = set()
    checked: list[Addressed | TidemarkError] = []
    for item in items:
        if isinstance(item, Addressed) and item.address in seen:
            reason = {"connector": ["is named twice in this batch"]}
            checked.append(InvalidReport("Invalid fields: connector", details=reason))
        else:
            checked.append(item)
        if isinstance(item, Addressed):
            seen.add(item.address)
    return checked


def _result(item: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    named = {name: item.get(name) if isinstance(item.get(name), str) else None for name in ("table", "connector")}
    if isinstance(outcome, TidemarkError):
        return {**named, "status": status_of(outcome), **members(outcome)}
    return {**named, "status": 201 if outcome.created else 204, "version": outcome.version}
