"""The crowd: engines, reporters, clients and operators, each in a thread, with the service in one process."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa

from app.api.runtime import Runtime
from app.domain.connector import Report
from app.domain.errors import PreconditionFailed, ServiceUnavailable, TidemarkError
from app.domain.status import Recording
from app.services.check import Asked
from app.services.issue import IssueRequest
from app.services.report import Addressed, Outcome, record, remove_connector
from app.store.engine import transact
from app.store.restore import leave_lost_versions
from app.store.status import StatsQuery
from tests.robustness.crowd.truth import Answer, Gate, Stream, Token
from tests.services.reporting import KEEP_EVERY

_PAUSE = 0.02  # seconds, at most, between learning and measuring, and before a report leaves
_TABLES = ("connector", "connector_epoch", "connector_error", "connector_event", "observation", "completion_token")
"""Those that hold what happens to connectors, each after those that it refers to."""
_STEP_CHANCES = {"arrive": 10, "process": 6, "restart": 0.6, "turn": 0.8, "rewind": 0.5}


@dataclass
class Crowd:
    """What all of them share."""

    runtime: Runtime
    streams: Sequence[Stream]
    gate: Gate = field(default_factory=Gate)  # closed while the database is backed up or restored
    tokens: list[Token] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)

    def learn(self, stream: Stream) -> int:
        try:
            with self.gate.inside():
                return int(self.runtime.stats(StatsQuery(stream.address)).version)
        except TidemarkError:
            return 0

    def send(self, stream: Stream, report: Report) -> int | TidemarkError:
        """Sends a report by itself and answers the version."""
        with self.gate.inside():
            try:
                version = self.runtime.report(Addressed(stream.address, report)).version
            except TidemarkError as refused:
                self.tally[refused.code] += 1
                return refused
            self.accepted(stream, report)
            return version

    def send_together(self, items: Sequence[tuple[Stream, Report]]) -> None:
        """Sends reports in one batch."""
        addressed = [Addressed(stream.address, report) for stream, report in items]
        with self.gate.inside():
            outcomes: list[Outcome] = transact(
                self.runtime.engine, lambda c: record(c, addressed, keep_every=KEEP_EVERY)
            )
            for (stream, report), outcome in zip(items, outcomes, strict=True):
                if not isinstance(outcome, TidemarkError):
                    self.accepted(stream, report)

    def accepted(self, stream: Stream, report: Report) -> None:
        self.tally["accepted"] += 1
        if report.position:
            with stream.lock:
                stream.recorded = report.position.epoch

    def insist(self, stream: Stream, received: dict[str, int] | None = None) -> None:
        """The engine itself reports, and does nothing else until that is recorded."""
        outcome: int | TidemarkError = PreconditionFailed(current_version=0)
        while not isinstance(outcome, int):
            version = self.learn(stream)
            with stream.lock:
                report = Report(if_match=version, recording=stream.recording, position=stream.position(received))
            outcome = self.send(stream, report)

    def check(self, token: Token) -> Answer:
        asked = Asked(token.stream.address.tenant, token.stream.address.pipeline, token.text)
        try:
            return self.runtime.check(asked).status
        except TidemarkError as error:
            return error


@dataclass
class Actor:
    """Somebody with choices of his own."""

    crowd: Crowd
    chance: random.Random

    def step(self) -> None:
        """Does something."""
        raise NotImplementedError

    def pause(self) -> None:
        time.sleep(self.chance.uniform(0, _PAUSE))

    def stream(self) -> Stream:
        return self.chance.choice(self.crowd.streams)


class Engine(Actor):
    """A connector's engine; nobody else changes what it has received."""

    def __init__(self, crowd: Crowd, chance: random.Random, mine: Stream) -> None:
        super().__init__(crowd, chance)
        self.mine = mine

    def step(self) -> None:
        (name,) = self.chance.choices(list(_STEP_CHANCES), list(_STEP_CHANCES.values()))
        getattr(self, name)()
        self.pause()

    def arrive(self) -> None:
        """A synchronous engine has its report recorded first."""
        taken = {name: n + self.chance.choice((0, 1, 3)) for name, n in self.mine.run.received.items()}
        if self.mine.recording is Recording.SYNCHRONOUS:
            with self.mine.lock:
                position = self.mine.position(taken)
            report = Report(recording=Recording.SYNCHRONOUS, position=position)
            self.mine.sent.append(report)
            if isinstance(self.crowd.send(self.mine, report), TidemarkError):
                self.crowd.insist(self.mine, taken)
        with self.mine.lock:
            self.mine.run.received = taken

    def process(self) -> None:
        run = self.mine.run
        with self.mine.lock:
            for name, end in run.received.items():
                run.processed[name] = self.chance.choice((run.processed[name], end, end))
                run.ever[name] = max(run.ever[name], run.processed[name])

    def rewind(self) -> None:
        with self.mine.lock:
            run = self.mine.run
            run.processed = {name: self.chance.randint(0, done) for name, done in run.processed.items()}

    def restart(self) -> None:
        """A new run reports before it takes any input."""
        with self.mine.lock:
            self.mine.begin()
        self.crowd.insist(self.mine)

    def turn(self) -> None:
        """Goes over to the other recording, and takes no input until a position is recorded in that; all but one do."""
        if self.mine is self.crowd.streams[0]:
            return
        others = {Recording.SAMPLED: Recording.SYNCHRONOUS, Recording.SYNCHRONOUS: Recording.SAMPLED}
        with self.mine.lock:
            self.mine.recording = others[self.mine.recording]
        self.crowd.insist(self.mine)


class Reporter(Actor):
    """Learns, measures and reports, each a while after the other; sends late what was sent, and its status only."""

    def step(self) -> None:
        (how,) = self.chance.choices((self.report, self.report_together, self.repeat), (10, 3, 2))
        how()

    def measured(self, stream: Stream) -> Report:
        version = self.crowd.learn(stream)
        self.pause()
        with stream.lock:
            position = None if self.chance.random() < 0.15 else stream.position()
            report = Report(if_match=version, recording=stream.recording, position=position)
        self.pause()
        return report

    def report(self) -> None:
        stream = self.stream()
        report = self.measured(stream)
        for _ in range(self.chance.choice((1, 1, 2))):
            self.crowd.send(stream, report)

    def report_together(self) -> None:
        with suppress(ServiceUnavailable):
            self.crowd.send_together([(stream, self.measured(stream)) for stream in self.crowd.streams])

    def repeat(self) -> None:
        stream = self.stream()
        if stream.sent:
            self.crowd.send(stream, self.chance.choice(stream.sent[-3:]))


class Client(Actor):
    """Asks for tokens, and checks anybody's."""

    def step(self) -> None:
        crowd = self.crowd
        with crowd.gate.inside():
            if self.chance.random() < 0.2 or not crowd.tokens:
                token = Token.asked(self.stream())
                with suppress(TidemarkError):
                    token.text = str(crowd.runtime.issue(IssueRequest(token.stream.address, "crowd")))
                    crowd.tokens.append(token)
                    crowd.tally["issued"] += 1
                return
            token = self.chance.choice(crowd.tokens[-40:])
            before = token.complete
            token.judge(crowd.check(token), before=before)
            crowd.tally["completed"] += token.complete and not before


class Operator(Actor):
    """Removes connectors, backs the database up and restores it."""

    kept: Sequence[tuple[Token, bool]] | None = None  # the tokens of the backup, and whether they were complete

    def step(self) -> None:
        time.sleep(0.2)
        (what,) = self.chance.choices((self.remove, self.back_up, self.restore), (4, 1, 1))
        what()

    def remove(self) -> None:
        """The one whose engine is never synchronous: another's first report could come late (docs/guarantees.md)."""
        stream = self.crowd.streams[0]
        for is_removing in (True, False):
            with stream.lock:
                stream.is_removing = is_removing
                stream.upset()
            if is_removing:
                with self.crowd.gate.inside(), suppress(TidemarkError):
                    transact(self.crowd.runtime.engine, lambda c: remove_connector(c, stream.address))
                    self.crowd.tally["removed"] += 1

    def back_up(self) -> None:
        with self.crowd.gate.closed(), self.crowd.runtime.engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA IF EXISTS backup CASCADE; CREATE SCHEMA backup"))
            for table in _TABLES:
                connection.execute(sa.text(f"CREATE TABLE backup.{table} AS TABLE public.{table}"))
            self.kept = [(token, token.complete) for token in self.crowd.tokens]

    def restore(self) -> None:
        """What was issued since is unknown; what has become complete since is to become so once more."""
        if self.kept is None:
            return
        with self.crowd.gate.closed():
            transact(self.crowd.runtime.engine, _restore)
            for token, complete in self.kept:
                token.complete = complete
            self.crowd.tokens[:] = [token for token, _ in self.kept]
            for stream in self.crowd.streams:
                with stream.lock:
                    stream.upset()
            self.crowd.tally["restored"] += 1


def _restore(connection: sa.Connection) -> None:
    connection.execute(sa.text(f"TRUNCATE {', '.join(_TABLES)}"))
    for table in _TABLES:
        connection.execute(sa.text(f"INSERT INTO public.{table} SELECT * FROM backup.{table}"))
    leave_lost_versions(connection)
