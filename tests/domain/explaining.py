"""A token and what is known of it, for the tests of how it is explained."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.domain.activity import Lifecycle, Progress
from app.domain.explanation import Known
from app.domain.frontier import Checkpoint
from app.domain.position import Position
from app.domain.rate import Sample
from app.domain.token import TokenId, TokenRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = TokenId(UUID(int=1), UUID("019b7a1c-0000-7000-8000-000000000000"))


def known(waits_for: int = 3, **fields: Any) -> Known:
    """A connector at version 5, of whose checkpoints 4 and 5 nothing is completed, and its token."""
    record = TokenRecord(
        epoch_number=1,
        binding=waits_for,
        removed=fields.pop("removed", False),
        current_epoch_number=fields.pop("current_epoch_number", 1),
        completed_version=fields.pop("completed_version", 2),
        epoch_ended=fields.pop("epoch_ended", False),
    )
    defaults: dict[str, Any] = {
        "now": NOW,
        "tenant": "default",
        "pipeline": "demo",
        "pipeline_stopped": False,
        "table": "orders",
        "connector": "billing",
        "issued_at": NOW - timedelta(seconds=30),
        "issued_by": "ci",
        "epoch_label": "run-1",
        "record": record,
        "version": 5,
        "position_version": 5,
        "recorded_at": NOW - timedelta(seconds=1),
        "not_reporting_since": None,
        "lifecycle": Lifecycle.RUNNING,
        "progress": Progress.MOVING,
        "frontier": tuple(Checkpoint(v, Position({"a": 10 * v}), NOW - timedelta(seconds=9 - v)) for v in (4, 5)),
        "completed": Position({"a": 25}),
        "earlier": Sample(NOW - timedelta(seconds=11), Position({"a": 5})),
        "last_incomplete": None,
        "first_complete": None,
    }
    return Known(**defaults | fields)
