"""The world of the model test: the service, the connectors as they really are, and every token ever issued."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from app.domain import frontier
from app.domain.connector import Report
from app.domain.errors import TidemarkError
from app.domain.names import Address
from app.domain.waiting import Until
from app.services.report import Addressed, Outcome, Recorded
from tests.domain.history import Stuck
from tests.robustness.ledger import Forgotten, Ledger, Refused, Token, Untied
from tests.robustness.service import PIPELINE, Service
from tests.robustness.sleepers import MOST as MOST_WAITS
from tests.robustness.sleepers import Happening
from tests.robustness.stream import ALL, NOTHING, Shape, Stream
from tests.robustness.waits import Told, Wait, Waits

SHORT_FRONTIER = 3
_LONG_FRONTIER = 128
_MOST_TOKENS = 12  # every step checks them all


class World:
    """Some connectors of one pipeline, and one process of the service.

    Whatever goes on in it is counted in ``tally``. Raises one of `ledger`'s errors when a promise is broken.
    """

    def __init__(self, url: str, tally: Counter[str]) -> None:
        self.tally = tally
        self.streams: list[Stream] = []
        self.tokens: list[Token] = []
        self.waits = Waits(tally)
        self.service = Service(url)
        self._raised_before = sys.exc_info()[1]

    def begin(self, shapes: Sequence[Shape], *, thinning: bool, reported: bool) -> None:
        """Makes the connectors; ``reported``: the first report to each is made at once."""
        frontier.MAX_CHECKPOINTS = SHORT_FRONTIER if thinning else _LONG_FRONTIER
        for number, shape in enumerate(shapes):
            address = Address(self.service.tenant, PIPELINE, "orders", f"c{number}")
            first_label = None if number == 0 else "run-0"
            self.streams.append(Stream(address, shape, Ledger(exact=not thinning), first_label))
        if reported:
            self.report(self.streams)

    def end(self) -> None:
        """The end of the story, unless it has had another one already; the process ends in either case."""
        try:
            if sys.exc_info()[1] is self._raised_before:
                self.tally["completed before the end"] += sum(token.complete for token in self.tokens)
                self.settle(self.streams)
        finally:
            self.service.stop()

    def learn(self, stream: Stream) -> int:
        """Reads the version, which must be the one last answered."""
        version = self.service.version(stream.address)
        if version != stream.ledger.visible_version:
            raise Forgotten(stream.ledger.tell(f"version {version} is read"))
        return version

    def send(
        self,
        pairs: Sequence[tuple[Stream, Report]],
        *,
        loaded: Happening | None = None,
        written: Happening | None = None,
    ) -> list[Outcome]:
        """Sends reports in one batch, and enters in their ledgers those that are answered as recorded."""
        items = [Addressed(stream.address, report) for stream, report in pairs]
        outcomes = self.service.record(items, loaded=loaded, written=written) if items else []
        for (stream, report), outcome in zip(pairs, outcomes, strict=True):
            if isinstance(outcome, Recorded):
                stream.ledger.accept(report, outcome)
            self.tally["accepted" if isinstance(outcome, Recorded) else outcome.code] += 1
        return outcomes

    def must(self, pairs: Sequence[tuple[Stream, Report]]) -> None:
        """Sends reports that keep the rules."""
        for (stream, report), outcome in zip(pairs, self.send(pairs), strict=True):
            if isinstance(outcome, TidemarkError):
                raise Refused(stream.ledger.tell(f"{report} was answered {outcome!r}"))

    def report(self, streams: Sequence[Stream], hidden: str = NOTHING) -> None:
        """Learns, measures and writes, and nothing comes between."""
        self.must([(stream, stream.measure(self.learn(stream), hidden)) for stream in streams])

    def report_next(self, streams: Sequence[Stream]) -> None:
        """Measures and writes; the version is the one last answered, as for a reporter that goes on."""
        self.must([(stream, stream.measure(stream.ledger.visible_version)) for stream in streams])

    def report_status(self, stream: Stream) -> None:
        """A report without a position; a synchronous engine's needs no version either."""
        unconditional = stream.synchronous and stream.ledger.visible
        self.must([(stream, stream.status(None if unconditional else self.learn(stream)))])

    def report_as_zombie(self, stream: Stream, choice: int) -> None:
        """An engine of a closed epoch learns the version and reports what it last knew."""
        if zombies := stream.zombies():
            report = stream.measure(self.learn(stream))
            self.send([(stream, replace(report, position=zombies[choice % len(zombies)]))])

    def commit(self, stream: Stream, received: dict[str, int]) -> None:
        """A synchronous engine takes input once its report is recorded, which needs no version where it goes on.

        It may have sent it without one at first, and such a report is to be refused whenever it arrives.
        """
        report = replace(stream.measure(None), position=stream.position(received=received))
        stream.committed.append(report)
        condition = None if stream.goes_on() else self.learn(stream)
        self.must([(stream, replace(report, if_match=condition))])
        stream.take(received)

    def issue(self, stream: Stream) -> Token | None:
        """Asks for a token and answers it, if it is given, and if there are not enough."""
        if len(self.tokens) == _MOST_TOKENS:
            return None
        try:
            text = self.service.issue(stream.address)
        except TidemarkError as refused:
            if stream.ledger.epoch:
                raise Refused(stream.ledger.tell(f"a token was answered {refused!r}")) from None
            return None
        if not stream.ledger.epoch:
            raise Untied(stream.ledger.tell("a token was given"))
        self.tokens.append(Token(text, stream.ledger, stream.run))
        self.tally["issued"] += 1
        return self.tokens[-1]

    def wait(self, tokens: Sequence[Token], until: Until = Until.ALL, *, looked: Happening | None = None) -> None:
        """Somebody waits for these from now on, unless enough others do. ``looked`` happens while he looks first."""
        if tokens and len(self.waits) < MOST_WAITS:
            texts = [token.text for token in tokens]
            self.waits.add(Wait(tokens, until, self.service.wait(texts, until, looked, partial(Told.now, tokens))))

    def remove(self, stream: Stream, *, loaded: Happening | None = None) -> None:
        if stream.ledger.visible:
            self.service.remove(stream.address, loaded=loaded)
            stream.ledger.remove()
            stream.lose_first_reports()
            self.tally["removed"] += 1

    def restart_service(self) -> None:
        self.service.restart()
        self.waits.end_of_process()
        self.tally["restarts"] += 1

    def sweep(self) -> None:
        """Checks every token and judges the answer; Early, Undone, Lost, Stuck, Unknown or Ghost for a lie.

        So are those who wait: they may raise Overslept or Dismissed as well.
        """
        if not self.tokens:
            return
        for token, answer in zip(self.tokens, self.service.check([t.text for t in self.tokens]), strict=True):
            before = token.complete, token.lost
            token.judge(answer)
            self.tally["checked"] += 1
            self.tally["completed"] += token.complete and not before[0]
            self.tally["lost"] += token.lost and not before[1]
        self.waits.judge()

    def settle(self, streams: Sequence[Stream]) -> None:
        """Everything is processed and two more reports are made, which completes every token of a living epoch."""
        self.finish(streams)
        self.sweep()
        settled = [stream.ledger for stream in streams]
        for token in self.tokens:
            if token.current and not token.complete and token.ledger in settled:
                raise Stuck(token.tell("not complete, though all is settled"))

    def finish(self, streams: Sequence[Stream]) -> None:
        """Everything is processed and two more reports are made."""
        for stream in streams:
            stream.process(None, ALL)
        for _ in range(2):
            self.report_next(streams)

    def finish_unseen(self, stream: Stream) -> None:
        """The same while somebody looks, who is told of it, but sees nothing of it."""
        self.finish([stream])
        self.service.sleepers.hear(stream.address.id, stream.ledger.version)
