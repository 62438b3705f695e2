"""Who reports, and who issues and checks tokens, while the server is killed around them."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.robustness.crash.calls import Caller, Issued, Report, Target, Wait
from tests.robustness.crash.engine import Engine
from tests.robustness.crash.history import Call

_CHANCE_STATUS_ONLY = 0.05
_CHANCE_PROCESSED = 0.6  # anything, before a measurement
_CHANCE_SLOW = 0.3  # of a reporter to dawdle between measuring and reporting
_MOST_PENDING = 40  # tokens that one client watches
_CHANCE_WAIT = 0.1  # rather than a check
_CHANCE_LONG = 0.2  # of a wait
_LONG_SECONDS = 15.0
_MOST_TOGETHER = 5  # tokens waited for in one request
_LAST_SECONDS = 60.0  # of a wait that what is reported last ends
_RETRY = (0.02, 0.05)  # seconds


@dataclass(frozen=True, slots=True)
class Subject:
    """A target and its engine."""

    target: Target
    engine: Engine


class Client(Protocol):
    """Does one thing after the other."""

    def step(self) -> bool:
        """Does the next thing; answers whether the server did."""


def keep_on(client: Client, chance: random.Random, stop: threading.Event) -> None:
    """Lets the client go on until it is told to stop, with a short pause after a failure."""
    while not stop.is_set():
        if not client.step():
            stop.wait(chance.uniform(*_RETRY))


@dataclass(slots=True)
class Reporter:
    """Reports sampled connectors by the rule: learn the version, then measure, then report against that version."""

    caller: Caller
    subjects: Sequence[Subject]
    chance: random.Random
    together: bool = False  # all in one batch, rather than one at a time
    pause: threading.Event = field(default_factory=threading.Event)  # never set: waited for
    _versions: dict[Target, int | None] = field(default_factory=dict)  # as last learnt; None: to be learnt anew

    def step(self) -> bool:
        subjects = self.subjects if self.together else [self.chance.choice(self.subjects)]
        reports = [report for subject in subjects if (report := self._prepare(subject)) is not None]
        if not reports:
            return False
        if self.chance.random() < _CHANCE_SLOW:
            self.pause.wait(self.chance.uniform(0, 0.01))
        calls = self.caller.report_together(reports) if self.together else [self.caller.report(reports[0])]
        for report, call in zip(reports, calls, strict=True):
            self._versions[report.target] = call.version if call.known else None
        return any(call.known for call in calls)

    def settle(self, subject: Subject) -> bool:
        """Reports, once, that all is processed, and answers whether that was accepted."""
        version = self._version(subject.target)
        if version is None:
            return False
        subject.engine.process_all()
        report = Report(target=subject.target, measured=subject.engine.measure(), if_match=version)
        call = self.caller.report(report)
        self._versions[subject.target] = call.version if call.known else None
        return call.acknowledged

    def _prepare(self, subject: Subject) -> Report | None:
        target, engine, chance = subject.target, subject.engine, self.chance
        version = self._version(target)
        if version is None:
            return None
        if version and chance.random() < target.removals:
            self.caller.remove(target)
            self._versions[target] = None
            return None
        if chance.random() < target.restarts:
            engine.restart()
        engine.arrive(chance)
        if chance.random() < _CHANCE_PROCESSED:
            engine.process(chance)
        status_only = version > 0 and chance.random() < _CHANCE_STATUS_ONLY
        return Report(target=target, measured=None if status_only else engine.measure(), if_match=version)

    def _version(self, target: Target) -> int | None:
        """The version as last learnt, or read now; None when that fails."""
        if (known := self._versions.get(target)) is not None:
            return known
        read = self.caller.read(target)
        return (read.version or 0) if read.known else None


@dataclass(slots=True)
class Committer:
    """A synchronous engine: it takes input only once its report of it is acknowledged."""

    caller: Caller
    subject: Subject
    chance: random.Random
    _attempted: dict[str, int] = field(default_factory=dict)  # an unanswered report may have been recorded

    def step(self) -> bool:
        engine = self.subject.engine
        if self.chance.random() < _CHANCE_PROCESSED:
            engine.process(self.chance)
        proposed = engine.proposed(self._attempted or engine.measure().received, self.chance)
        self._attempted = proposed.received
        call = self.caller.report(Report(target=self.subject.target, measured=proposed, if_match=None))
        if call.acknowledged:
            engine.take(proposed.received)
        return call.known

    def settle(self) -> bool:
        """Reports, once, that all is processed, and answers whether that was accepted."""
        engine, target = self.subject.engine, self.subject.target
        if self._attempted:
            engine.take(self._attempted)
        engine.process_all()
        return self.caller.report(Report(target=target, measured=engine.measure(), if_match=None)).acknowledged


@dataclass(slots=True)
class Asker:
    """Issues tokens and checks them, its own and others'."""

    caller: Caller
    subjects: Sequence[Subject]
    chance: random.Random
    issued: list[Issued]  # by all clients
    _pending: list[Issued] = field(default_factory=list)

    def step(self) -> bool:
        roll = self.chance.random()
        if roll < 0.05:
            return self.caller.read(self.chance.choice(self.subjects).target).known
        if roll < 0.15 and self.issued:
            return self.caller.check(self.chance.choice(self.issued)).known
        if roll < 0.45 and len(self._pending) < _MOST_PENDING:
            return self._issue().known
        if not self._pending:
            return True
        return self._wait() if self.chance.random() < _CHANCE_WAIT else self._check().known

    def wait_for_all(self) -> None:
        """Waits once for all that are not done, until they are: they are about to be."""
        if self._pending:
            self.caller.wait_together(self._pending, Wait(seconds=_LAST_SECONDS))

    def check_each(self, tokens: Sequence[Issued], stop: threading.Event) -> None:
        """Checks every one of the tokens until its answer is known."""
        for issued in tokens:
            while not self.caller.check(issued).known and not stop.wait(_RETRY[1]):
                pass

    def _issue(self) -> Call:
        subject = self.chance.choice(self.subjects)
        # The record is behind the engine at just the wrong moment. A synchronous engine's never is.
        if not subject.target.synchronous and self.chance.random() < 0.7:
            subject.engine.arrive(self.chance)
        call = self.caller.issue(subject.target)
        if call.acknowledged and call.token:
            issued = Issued(subject.target, call.token)
            self.issued.append(issued)
            self._pending.append(issued)
        return call

    def _check(self) -> Call:
        issued = self.chance.choice(self._pending)
        call = self.caller.check(issued)
        self._heed([issued], [call])
        return call

    def _wait(self) -> bool:
        """Waits for one token, or for all or any of several."""
        chance = self.chance
        seconds = _LONG_SECONDS if chance.random() < _CHANCE_LONG else chance.random()
        chosen = chance.sample(self._pending, min(len(self._pending), chance.randint(1, _MOST_TOGETHER)))
        if len(chosen) == 1:
            calls = [self.caller.wait(chosen[0], Wait(seconds=seconds))]
        else:
            calls = self.caller.wait_together(chosen, Wait(seconds=seconds, until=chance.choice(("all", "any"))))
        self._heed(chosen, calls)
        return calls[0].known

    def _heed(self, asked: Sequence[Issued], calls: Sequence[Call]) -> None:
        """What is complete or lost is no longer pending."""
        done = [issued for issued, call in zip(asked, calls, strict=True) if call.known and call.status != 202]
        self._pending = [issued for issued in self._pending if issued not in done]
