"""The model test's machine: what can happen to connectors and to the service that records them, in any order."""

from contextlib import suppress
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import rule

from app.domain.connector import Report
from app.domain.status import Recording
from app.domain.waiting import Until
from tests.robustness.engines import COMPONENT, Engines
from tests.robustness.service import Died
from tests.robustness.stream import HIDDEN, NOTHING, RECORDED, UPTO, Stream

PART_HIDDEN = st.sampled_from([NOTHING] * 8 + list(HIDDEN))
REPORTER = st.integers(0, 1)
WITH_VERSION, WITHOUT_VERSION = "with its version", "without a version"


class Model(Engines):
    """2 or 3 connectors, each with an engine and two reporters, their tokens, and one process of the service."""

    connectors = Engines.connectors

    # what reporters do

    @rule(connector=connectors, reporter=REPORTER)
    def learn(self, connector: Stream, reporter: int) -> None:
        connector.reporters[reporter].learnt = self.world.learn(connector)

    @rule(connector=connectors, reporter=REPORTER, hidden=PART_HIDDEN)
    def measure(self, connector: Stream, reporter: int, hidden: str) -> None:
        chosen = connector.reporters[reporter]
        if chosen.learnt is not None:
            chosen.measured = connector.measure(chosen.learnt, hidden)

    @rule(connector=connectors, reporter=REPORTER)
    def measure_completed_again(self, connector: Stream, reporter: int) -> None:
        """The two positions are read at different instants, and the completed one may be ahead."""
        chosen = connector.reporters[reporter]
        if chosen.measured:
            chosen.measured = _completed_by_now(connector, chosen.measured)

    @rule(connector=connectors, reporter=REPORTER, heard=st.booleans(), kept=st.booleans())
    def write(self, connector: Stream, reporter: int, heard: bool, kept: bool) -> None:
        """Writes what was measured. Kept, the same report is sent once more later."""
        chosen = connector.reporters[reporter]
        if chosen.measured is None:
            return
        (outcome,) = self.world.send([(connector, chosen.measured)])
        if heard:
            chosen.hear(outcome)
        if not kept:
            chosen.measured = None

    @rule(reporter=REPORTER)
    def write_in_a_batch(self, reporter: int) -> None:
        """The reporters of several connectors write together what they have measured, and keep it."""
        measured = [(stream, stream.reporters[reporter].measured) for stream in self.world.streams]
        self.world.send([(stream, report) for stream, report in measured if report])

    @rule(connector=connectors, reporter=REPORTER)
    def drop(self, connector: Stream, reporter: int) -> None:
        connector.reporters[reporter].measured = None

    @rule(connector=connectors, hidden=PART_HIDDEN)
    def report(self, connector: Stream, hidden: str) -> None:
        self.world.report([connector], hidden)

    @rule(hidden=PART_HIDDEN)
    def report_in_a_batch(self, hidden: str) -> None:
        self.world.report(self.world.streams, hidden)

    @rule(
        connector=connectors,
        component=COMPONENT,
        times=st.integers(1, 4),
        asked=st.integers(0, 4),
        upto=st.none() | st.sampled_from(UPTO),
    )
    def go_on(self, connector: Stream, component: int, times: int, asked: int, upto: str | None) -> None:
        """The usual: input comes in and is reported, over and over, and in the end some work is done and reported.

        A token is asked for in the midst of a report.
        """
        for time in range(times):
            self.arrive(connector, component, 1)
            if time == asked:
                self.issue_while_reporting(connector, NOTHING, component, committing=False, again=())
            else:
                self.world.report_next([connector])
        if upto:
            connector.process(component, upto)
            self.world.report_next([connector])

    @rule(connector=connectors, times=st.integers(1, 3))
    def report_status(self, connector: Stream, times: int) -> None:
        for _ in range(times):
            self.world.report_status(connector)

    @rule(connector=connectors, reporter=REPORTER)
    def write_unconditionally(self, connector: Stream, reporter: int) -> None:
        """A careless reporter names no version."""
        measured = connector.reporters[reporter].measured
        if measured and measured.recording is Recording.SAMPLED:
            self.world.send([(connector, replace(measured, if_match=None))])

    @rule(connector=connectors, back=st.integers(1, 3))
    def repeat_commit(self, connector: Stream, back: int) -> None:
        """One of a synchronous engine's last reports arrives a second time, late, whatever has become of it since."""
        if len(connector.committed) >= back:
            self.world.send([(connector, connector.committed[-back])])

    @rule(connector=connectors, choice=st.integers(0, 3))
    def write_as_zombie(self, connector: Stream, choice: int) -> None:
        self.world.report_as_zombie(connector, choice)

    # what gets in between

    @rule(connector=connectors, by=st.sampled_from(["report", "status", "removal"]), hidden=PART_HIDDEN)
    def report_overtaken(self, connector: Stream, by: str, hidden: str) -> None:
        """Of two reports measured at the same version the first to be read is the last to be written."""
        learnt = self.world.learn(connector)
        faster = connector.status(learnt) if by == "status" else connector.measure(learnt)
        unconditional = connector.synchronous and connector.ledger.visible
        report = connector.measure(None if unconditional else learnt, hidden)

        def overtake() -> None:
            if by == "removal":
                self.world.remove(connector)
            else:
                self.world.send([(connector, faster)])

        self.world.send([(connector, report)], loaded=overtake)

    @rule(
        connector=connectors,
        hidden=PART_HIDDEN,
        component=COMPONENT,
        committing=st.booleans(),
        again=st.sampled_from([(), (WITH_VERSION,), (WITHOUT_VERSION, WITHOUT_VERSION)]),
    )
    def issue_while_reporting(
        self, connector: Stream, hidden: str, component: int, committing: bool, again: tuple[str, ...]
    ) -> None:
        """After a connector is measured more comes in, and a token is asked for before the report is committed.

        Its reporter hears no answer and reports what it had received again, with what is completed by now. It may be
        so careless as to name no version then.
        """
        report = connector.measure(self.world.learn(connector), hidden)
        if not connector.synchronous:
            connector.take(connector.taken(component, 1))
        happening = {"written" if committing else "loaded": lambda: self.world.issue(connector)}
        self.world.send([(connector, report)], **happening)
        for how in again:
            connector.process(None, RECORDED)
            if how == WITH_VERSION or report.recording is Recording.SAMPLED:
                late = _completed_by_now(connector, report)
                self.world.send([(connector, late if how == WITH_VERSION else replace(late, if_match=None))])

    @rule(connector=connectors)
    def remove_overtaken(self, connector: Stream) -> None:
        report = connector.measure(self.world.learn(connector))
        self.world.remove(connector, loaded=lambda: self.world.send([(connector, report)]))

    # what clients and operators do

    @rule(connector=connectors)
    def issue(self, connector: Stream) -> None:
        self.world.issue(connector)

    @rule()
    def issue_everywhere(self) -> None:
        for connector in self.world.streams:
            self.world.issue(connector)

    @rule(connector=connectors, component=COMPONENT, waiting=st.booleans())
    def send_and_issue(self, connector: Stream, component: int, waiting: bool) -> None:
        """What tokens are for: a client has sent something, asks for a token on it, and may wait for that."""
        self.arrive(connector, component, 1)
        token = self.world.issue(connector)
        if token and waiting:
            self.world.wait([token])

    @rule(many=st.integers(1, 4), until=st.sampled_from([Until.ALL, Until.ANY]))
    def wait(self, many: int, until: Until) -> None:
        """Somebody waits for all or any of several tokens in progress, of whatever connectors, or for what is not."""
        in_progress = [token for token in self.world.tokens if token.current and not token.complete]
        self.world.wait((in_progress or self.world.tokens)[-many:], until)

    @rule(connector=connectors)
    def complete_while_looking(self, connector: Stream) -> None:
        """Somebody who waits has just looked, and seen that it is not complete, when it is."""
        token = self.world.issue(connector)
        if token:
            self.world.wait([token], looked=lambda: self.world.finish_unseen(connector))

    @rule(connector=connectors)
    def remove(self, connector: Stream) -> None:
        self.world.remove(connector)

    @rule()
    def restart_service(self) -> None:
        self.world.restart_service()

    @rule(connector=connectors)
    def die_reporting(self, connector: Stream) -> None:
        """The process dies before it commits: it is as if the report had never been sent."""

        def die() -> None:
            raise Died

        with suppress(Died):
            self.world.send([(connector, connector.measure(self.world.learn(connector)))], written=die)
        self.world.restart_service()
        self.world.learn(connector)

    @rule()
    def settle(self) -> None:
        self.world.settle([stream for stream in self.world.streams if stream.ledger.visible])


def _completed_by_now(connector: Stream, report: Report) -> Report:
    """The report with its completed position measured again, if the engine is still the same."""
    if report.position is None or report.position.epoch != connector.run.label:
        return report
    return replace(report, position=replace(report.position, completed=connector.position().completed))


_OFTEN = {
    "arrive": 2,
    "go_on": 2,
    "issue": 2,
    "issue_while_reporting": 3,
    "learn": 2,
    "measure": 2,
    "process": 3,
    "process_everywhere": 3,
    "report": 2,
    "report_in_a_batch": 2,
    "report_overtaken": 2,
    "report_status": 2,
    "send_and_issue": 3,
    "turn_synchronous": 2,
    "wait": 2,
    "write": 3,
    "write_as_zombie": 2,
}
"""How many times as often as the others a rule is to be drawn: it is found under so many names."""

for _name, _times in _OFTEN.items():
    for _time in range(1, _times):
        setattr(Model, f"{_name}_{_time}", getattr(Model, _name))
