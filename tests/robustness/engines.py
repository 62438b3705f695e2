"""The model test's machine, first part: how a history begins and ends, what must hold, and what engines do.

After every step all tokens ever issued are checked through the service, each for itself, and judged by what is
really true. Nothing that decides about a step depends on time or on an id, so that a seed plays the same again.
"""

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from app.domain.errors import TidemarkError
from app.domain.status import Recording
from tests.robustness.stream import ALL, EDGES, UPTO, Shape, Stream
from tests.robustness.world import World

SHAPES = st.builds(
    Shape,
    components=st.sampled_from([("",), ("a", "b"), ("a", "b", "c"), ("a",)]),
    present=st.sampled_from([3, 2, 1, 0]),
    start=st.sampled_from([0, 0, 0, 1, EDGES[0] - 2, EDGES[1] - 6]),
    sparse=st.booleans(),
    recording=st.sampled_from([Recording.SAMPLED] * 3 + [Recording.SYNCHRONOUS]),
)
COMPONENT = st.integers(0, 2)
STEP = st.sampled_from([1] * 14 + [2] * 8 + [3] * 4 + [0] * 2 + list(EDGES))


class Engines(RuleBasedStateMachine):
    """2 or 3 connectors and the engines that run them."""

    connectors: Bundle[Stream] = Bundle("connectors")

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.tally = world.tally
        self.tally["examples"] += 1

    @initialize(
        target=connectors,
        shapes=st.lists(SHAPES, min_size=2, max_size=3),
        thinning=st.booleans(),
        reported=st.sampled_from([True, True, True, False]),
    )
    def begin(self, shapes: list[Shape], thinning: bool, reported: bool) -> MultipleResults[Stream]:
        self.world.begin(shapes, thinning=thinning, reported=reported)
        return multiple(*self.world.streams)

    @invariant()
    def tokens_are_told_the_truth(self) -> None:
        self.tally["steps"] += 1
        self.world.sweep()

    def teardown(self) -> None:
        self.tally["with a token"] += bool(self.world.tokens)
        self.world.end()

    # what engines do

    @rule(connector=connectors, component=COMPONENT, step=STEP)
    def arrive(self, connector: Stream, component: int, step: int) -> None:
        """The engine takes input. A synchronous one has its report committed before that counts as received."""
        received = connector.taken(component, step)
        if connector.synchronous:
            self.world.commit(connector, received)
        else:
            connector.take(received)

    @rule(connector=connectors, component=st.none() | COMPONENT, upto=st.sampled_from(UPTO))
    def process(self, connector: Stream, component: int | None, upto: str) -> None:
        connector.process(component, upto)

    @rule()
    def catch_up(self) -> None:
        for connector in self.world.streams:
            connector.process(None, ALL)

    @rule(upto=st.sampled_from(UPTO))
    def process_everywhere(self, upto: str) -> None:
        for connector in self.world.streams:
            connector.process(None, upto)

    @rule(connector=connectors, component=COMPONENT, by=st.sampled_from([1, 2, EDGES[1]]))
    def rewind(self, connector: Stream, component: int, by: int) -> None:
        connector.rewind(component, by)

    @rule(connector=connectors, reporting=st.booleans(), waking=st.booleans())
    def restart_engine(self, connector: Stream, reporting: bool, waking: bool) -> None:
        """The engine starts again; it may report at once, and the old one, thought dead, wake up then."""
        connector.restart()
        if reporting:
            self.world.report([connector])
            if waking:
                self.world.report_as_zombie(connector, -1)

    @rule(connector=connectors, component=COMPONENT, telling=st.booleans())
    def turn_synchronous(self, connector: Stream, component: int, telling: bool) -> None:
        """From now on the engine has its reports committed first, but what it took last is in none.

        It may say so at once, in a report without a position.
        """
        if not connector.synchronous:
            connector.take(connector.taken(component, 1))
            connector.recording = Recording.SYNCHRONOUS
        if telling:
            self.world.report_status(connector)
            self.world.issue(connector)

    @rule(connector=connectors, component=COMPONENT, late=st.booleans())
    def turn_sampled(self, connector: Stream, component: int, late: bool) -> None:
        """From now on the engine is sampled, and takes input that is in no report, as soon as it has said so.

        The last report that it made before may arrive a second time then.
        """
        if not connector.synchronous:
            return
        connector.recording = Recording.SAMPLED
        self.world.report([connector])
        connector.take(connector.taken(component, 1))
        if late and connector.committed:
            self.world.send([(connector, connector.committed[-1])])
            self.world.issue(connector)

    @rule(connector=connectors, component=COMPONENT)
    def lose_a_run(self, connector: Stream, component: int) -> None:
        """A synchronous engine's first report arrives when it is no more, and another run has taken over."""
        if connector.synchronous and connector.ledger.visible:
            connector.restart()
            lost = connector.measure(None)
            connector.restart()
            self.world.report([connector])
            self.world.commit(connector, connector.taken(component, 1))
            self.world.send([(connector, lost)])
            self.world.issue(connector)

    @rule(connector=connectors)
    def forget(self, connector: Stream) -> None:
        """The engine starts again from nothing under its old label; refused, it names a new one."""
        label, recorded = connector.run.label, connector.recorded()
        connector.restart()
        if any(connector.run.received.get(name, -1) < offset for name, offset in recorded.items()):
            fresh, connector.run.label = connector.run.label, label
            (outcome,) = self.world.send([(connector, connector.measure(self.world.learn(connector)))])
            if isinstance(outcome, TidemarkError):
                connector.run.label = fresh
