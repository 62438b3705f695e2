"""What is really so, while many threads work on a few connectors: engines' progress, and tokens held against it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Lock

from app.domain.connector import Report, StreamPosition
from app.domain.errors import PipelineRestarted, ServiceUnavailable, TidemarkError, UnknownEndpointInCompletionToken
from app.domain.names import Address
from app.domain.position import Position
from app.domain.status import Recording
from app.domain.token import TokenStatus
from tests.domain.history import Early, Lost, Undone
from tests.robustness.ledger import Offsets, Run, Unknown

Answer = TokenStatus | TidemarkError


class Gate:
    """Many may be inside at once; who closes it is alone inside."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._closed = True
            self._changed.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


@dataclass(eq=False)
class Stream:
    """One connector and its engine; the lock is held to read or change what follows it."""

    address: Address
    components: tuple[str, ...]
    lock: Lock = field(default_factory=Lock)
    run: Run = field(init=False)
    runs: int = 0
    recording: Recording = Recording.SAMPLED
    recorded: str | None = None  # the run whose position is known to be recorded
    upheavals: int = 0  # restarts, removals and restores: each may cost tokens
    is_removing: bool = False
    sent: list[Report] = field(default_factory=list)  # a synchronous engine's, without a version

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """The engine starts, from nothing."""
        self.runs += 1
        nothing = dict.fromkeys(self.components, 0)
        self.run = Run(f"run-{self.runs}", nothing, dict(nothing), dict(nothing))
        self.upset()

    def upset(self) -> None:
        """What was recorded need not be any longer."""
        self.upheavals += 1
        self.recorded = None

    def position(self, received: Offsets | None = None) -> StreamPosition:
        taken = Position(dict(received or self.run.received))
        return StreamPosition(epoch=self.run.label, received=taken, completed=Position(dict(self.run.processed)))


@dataclass(eq=False)
class Token:
    """A token, and all that had been received when it was asked for."""

    stream: Stream
    run: Run
    need: Offsets
    upheavals: int
    certain: bool  # whether the run's position was recorded by then: else it may be lost with another's
    text: str = ""
    complete: bool = False

    @classmethod
    def asked(cls, stream: Stream) -> "Token":
        with stream.lock:
            run = stream.run
            certain = stream.recorded == run.label and not stream.is_removing
            return cls(stream, run, dict(run.received), stream.upheavals, certain)

    @property
    def must_live(self) -> bool:
        """Whether nothing has happened that may cost it."""
        return self.certain and self.upheavals == self.stream.upheavals

    def judge(self, answer: Answer, *, before: bool) -> None:
        """Raises Early, Undone, Lost or Unknown; ``before``: whether it had been complete before this was asked."""
        if isinstance(answer, ServiceUnavailable):
            return
        if answer is TokenStatus.COMPLETE:
            with self.stream.lock:
                if not self.run.has_processed(self.need):
                    raise Early(self.tell(answer))
            self.complete = True
        elif isinstance(answer, UnknownEndpointInCompletionToken):
            if self.must_live:
                raise Lost(self.tell(answer))
        elif before:
            raise Undone(self.tell(answer))
        elif isinstance(answer, PipelineRestarted):
            if self.must_live:
                raise Lost(self.tell(answer))
        elif answer is not TokenStatus.IN_PROGRESS:
            raise Unknown(self.tell(answer))

    def tell(self, answer: object) -> str:
        return f"{self.text} was answered {answer!r}: it needs {self.need} of {self.run}"
