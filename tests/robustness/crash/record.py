"""One connector's record as the server keeps it, in memory: the domain's rules, and answers like those of the API."""

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from app.domain import connector as rules
from app.domain import token as token_rules
from app.domain.connector import Connector, EpochClosed, Report, StreamPosition
from app.domain.errors import PipelineRestarted, PreconditionFailed, TidemarkError, UnknownEndpointInCompletionToken
from app.domain.position import Position
from app.domain.status import Recording
from app.domain.token import TokenRecord, TokenStatus
from tests.robustness.crash.engine import Measurement

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_REFUSED = {PreconditionFailed: 412, PipelineRestarted: 410, UnknownEndpointInCompletionToken: 410}
_UNKNOWN = {"status": 404, "code": "UnknownInputEndpoint"}

Answer = dict[str, Any]
"""What a call is told, by the names that `Call` has for it."""


@dataclass(slots=True)
class State:
    """All that survives a crash."""

    connector: Connector = field(default_factory=Connector)
    ended: dict[int, int] = field(default_factory=dict)  # epoch number → its last completed_version
    closed_labels: set[str | None] = field(default_factory=set)
    tokens: dict[str, tuple[int, int]] = field(default_factory=dict)  # token → epoch number and binding


class Record:
    """A correct server of one connector; its subclasses in the tests are not correct."""

    def __init__(self) -> None:
        self.state = State()
        self._numbers = count()

    def crash(self) -> None:
        """Nothing is lost."""

    def read(self) -> Answer:
        version = self.state.connector.visible_version
        return {"status": 200, "version": version} if version else _UNKNOWN

    def report(self, measured: Measurement | None, if_match: int | None) -> Answer:
        recording = Recording.SYNCHRONOUS if if_match is None else Recording.SAMPLED
        report = Report(if_match=if_match, recording=recording, position=_position(measured))
        before = self.state.connector
        try:
            accepted = rules.accept(
                before, report, now=_NOW, closed_labels=self.state.closed_labels, keep_every=timedelta(0)
            )
        except TidemarkError as refused:
            return _refusal(refused)
        self._close(accepted.closed)
        self.state.connector = accepted.connector
        return {"status": 204 if before.visible_version else 201, "version": accepted.connector.version}

    def remove(self) -> Answer:
        if not self.state.connector.visible_version:
            return _UNKNOWN
        removed = rules.remove(self.state.connector)
        self._close(removed.closed)
        self.state.connector = removed.connector
        self.state.closed_labels = set()
        return {"status": 204}

    def issue(self) -> Answer:
        connector = self.state.connector
        if not connector.visible_version:
            return _UNKNOWN
        if connector.epoch is None:
            return {"status": 409, "code": "NoStreamPosition"}
        token = f"token-{next(self._numbers)}"
        self.state.tokens[token] = (connector.epoch.number, self.binding())
        return {"status": 200, "token": token}

    def binding(self) -> int:
        return token_rules.binding(self.state.connector)

    def check(self, token: str) -> Answer:
        if token not in self.state.tokens:
            return {"status": 404, "code": "UnknownCompletionToken"}
        connector, (epoch_number, binding) = self.state.connector, self.state.tokens[token]
        ended = self.state.ended.get(epoch_number)
        record = TokenRecord(
            epoch_number=epoch_number,
            binding=binding,
            removed=connector.removed,
            current_epoch_number=connector.last_epoch,
            completed_version=connector.completed_version if ended is None else ended,
            epoch_ended=ended is not None,
        )
        try:
            complete = token_rules.evaluate(record) is TokenStatus.COMPLETE
        except TidemarkError as refused:
            return _refusal(refused)
        return {"status": 200 if complete else 202, "complete": complete}

    def saved(self) -> State:
        """The state as it is now, for good."""
        return copy.deepcopy(self.state)

    def _close(self, closed: EpochClosed | None) -> None:
        if closed is not None:
            epoch = self.state.connector.epoch
            self.state.closed_labels.add(epoch.label if epoch else None)
            self.state.ended[closed.number] = closed.completed_version


def _position(measured: Measurement | None) -> StreamPosition | None:
    if measured is None:
        return None
    received, completed = Position(measured.received), Position(measured.completed)
    return StreamPosition(epoch=measured.label, received=received, completed=completed)


def _refusal(refused: TidemarkError) -> Answer:
    version = refused.current_version if isinstance(refused, PreconditionFailed) else None
    return {"status": _REFUSED.get(type(refused), 409), "code": refused.code, "version": version}
