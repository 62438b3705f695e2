"""Servers that are wrong in one way each, simulated: the checker must find them."""

from dataclasses import replace
from typing import Any

from app.domain.connector import Connector
from tests.robustness.crash.engine import Measurement
from tests.robustness.crash.record import Answer, Record


class BindsToTheVersionItSaw(Record):
    def binding(self) -> int:
        return self.state.connector.version


class BindsToTheNextVersion(Record):
    def binding(self) -> int:
        return self.state.connector.version + 1


class ForgetsTokens(Record):
    """It keeps them in memory."""

    def crash(self) -> None:
        self.state.tokens = {}


class ForgetsTheLast(Record):
    """Commits that were acknowledged are not there after a crash."""

    def __init__(self) -> None:
        super().__init__()
        self._durable = self.saved()
        self._writes = 0

    def report(self, measured: Measurement | None, if_match: int | None) -> Answer:
        self._writes += 1
        if self._writes % 5 == 0:
            self._durable = self.saved()
        return super().report(measured, if_match)

    def crash(self) -> None:
        self.state = self._durable
        self._durable = self.saved()


class ReadsTheReplica(Record):
    """Some reads and checks are answered from a state that is a little old."""

    def __init__(self) -> None:
        super().__init__()
        self._replica = self.saved()
        self._asked = 0

    def report(self, measured: Measurement | None, if_match: int | None) -> Answer:
        self._replica = self.saved()
        return super().report(measured, if_match)

    def read(self) -> Answer:
        return self._as_of_the_replica(super().read)

    def check(self, token: str) -> Answer:
        known = token in self._replica.tokens
        return self._as_of_the_replica(super().check, token) if known else super().check(token)

    def _as_of_the_replica(self, asked: Any, *given: Any) -> Answer:
        self._asked += 1
        if self._asked % 3:
            return dict(asked(*given))
        self.state, newest = self._replica, self.state
        try:
            return dict(asked(*given))
        finally:
            self.state = newest


class DoesNotLatch(Record):
    """What is completed goes back now and then."""

    def report(self, measured: Measurement | None, if_match: int | None) -> Answer:
        answer = super().report(measured, if_match)
        connector = self.state.connector
        if answer["status"] == 204 and connector.version % 4 == 0:
            self.state.connector = replace(connector, completed_version=max(0, connector.completed_version - 6))
        return answer


class LosesWhatHadCompleted(Record):
    """The end of an epoch takes all its tokens along."""

    def check(self, token: str) -> Answer:
        answer, (epoch, _) = super().check(token), self.state.tokens[token]
        gone = {"status": 410, "code": "PipelineRestarted"}
        return gone if answer["status"] == 200 and epoch in self.state.ended else answer


class CountsAnew(Record):
    """A removed connector starts again from nothing."""

    def remove(self) -> Answer:
        answer = super().remove()
        self.state.connector = Connector()
        return answer


class AcceptsAnyVersion(Record):
    def report(self, measured: Measurement | None, if_match: int | None) -> Answer:
        return super().report(measured, None if if_match is None else self.state.connector.visible_version)


class AppliesTwice(Record):
    """Having lost its connection at COMMIT, it does the work again."""

    def report(self, measured: Measurement | None, if_match: int | None) -> Answer:
        super().report(measured, if_match)
        return super().report(measured, if_match)
