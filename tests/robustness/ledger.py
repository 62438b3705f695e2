"""What has been answered of a connector, so what its tokens must be told: the judge of the model test (design §2).

The ledger is kept from the service's answers alone and reads nothing of what the service has recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.connector import Report, StreamPosition
from app.domain.errors import PipelineRestarted, TidemarkError, UnknownEndpointInCompletionToken
from app.domain.position import Position
from app.domain.status import Recording
from app.domain.token import TokenStatus
from app.services.report import Recorded
from tests.domain.history import Early, Lost, Stuck, Undone

Offsets = Mapping[str, int]
Answer = TokenStatus | TidemarkError
SAMPLED_WAIT = 2  # by design §2, not by the code
_OF_KNOWN_TOKENS = (PipelineRestarted, UnknownEndpointInCompletionToken)


class Unknown(AssertionError):
    """A token that was answered is not known, though its retention is not over."""


class Ghost(AssertionError):
    """A token of a removed connector was judged, or that of one in use was called removed."""


class Forgotten(AssertionError):
    """What was answered is not what is recorded."""


class Untied(AssertionError):
    """A token was given though no position is recorded that it could be tied to."""


class Refused(AssertionError):
    """A report or a token was refused though it kept the rules."""


@dataclass
class Run:
    """An engine from its start to its end, as it really was: one history of positions."""

    label: str | None
    received: dict[str, int]
    processed: dict[str, int]
    ever: dict[str, int]  # processed, also before a rewind

    def has_processed(self, need: Offsets) -> bool:
        return covers(self.ever, need)


@dataclass(eq=False)
class Ledger:
    """What a connector's accepted reports and removals make of it, by the rules of design §2."""

    exact: bool = True  # whether no frontier is thinned, so that a token completes as soon as it can
    version: int = 0
    visible: bool = False
    recording: Recording = Recording.SAMPLED
    position_version: int = 0
    epoch: int = 0  # 0: no position yet
    epochs: int = 0
    label: str | None = None  # of the epoch
    closed: set[str | None] = field(default_factory=set)  # labels that are zombies' now
    reported: list[tuple[int, Offsets]] = field(default_factory=list)  # received, of the epoch
    reached: int = 0  # the newest version of the epoch that has to count as completed
    ended: dict[int, int] = field(default_factory=dict)  # what older epochs had reached
    story: list[str] = field(default_factory=list)

    @property
    def visible_version(self) -> int:
        return self.version if self.visible else 0

    def accept(self, report: Report, recorded: Recorded) -> None:
        """Enters a report that was answered as recorded."""
        self.story.append(
            f"report on {report.if_match}, {report.recording.value}, {_short(report.position)}: {recorded}"
        )
        if recorded.version != self.version + 1 or recorded.created is self.visible:
            raise Forgotten(self.tell(f"{recorded} was the answer"))
        self.version, self.visible = recorded.version, True
        if report.position is not None or self.recording is Recording.SYNCHRONOUS:
            self.recording = report.recording
        if report.position is not None and report.position.epoch not in self.closed:
            self._take(report.position)

    def remove(self) -> None:
        self.story.append("removed")
        self._close()
        self.visible, self.epoch, self.label, self.closed, self.reported = False, 0, None, set(), []

    def tell(self, *news: str) -> str:
        """The connector's story, for who has to find out."""
        now = f"now at version {self.version}, visible: {self.visible}, epoch {self.epoch}, reached {self.reached}"
        return "\n    ".join([*news, now, "what was recorded and issued:", *self.story])

    def wait(self) -> int:
        """The version that a token issued now may wait for at most."""
        return self.position_version if self.recording is Recording.SYNCHRONOUS else self.version + SAMPLED_WAIT

    def _take(self, position: StreamPosition) -> None:
        if not self.epoch or position.epoch != self.label:
            self._open(position.epoch)
        self.position_version = self.version
        self.reported.append((self.version, dict(position.received.offsets)))
        if position.completed is not None:
            self._complete(position.completed)

    def _open(self, label: str | None) -> None:
        self._close()
        self.epochs += 1
        self.epoch, self.label, self.reported, self.reached = self.epochs, label, [], 0

    def _close(self) -> None:
        if self.epoch:
            self.closed.add(self.label)
            self.ended[self.epoch] = self.reached

    def _complete(self, completed: Position) -> None:
        """A thinned frontier is sure to hold its newest checkpoint only."""
        certain = self.reported if self.exact else self.reported[-1:]
        self.reached = max([self.reached, *(v for v, received in certain if covers(completed.offsets, received))])


@dataclass
class Token:
    """A token, and all that the connector had really received when it was asked for."""

    text: str
    ledger: Ledger
    run: Run
    epoch: int = field(init=False)
    wait: int = field(init=False)
    need: Offsets = field(init=False)
    complete: bool = False
    lost: bool = False

    def __post_init__(self) -> None:
        self.epoch, self.wait, self.need = self.ledger.epoch, self.ledger.wait(), dict(self.run.received)
        self.ledger.story.append(f"token …{self.text[-8:]} at version {self.ledger.version}, needs {self.need}")

    @property
    def current(self) -> bool:
        """Whether the epoch it was issued in goes on."""
        return self.ledger.visible and self.epoch == self.ledger.epoch

    def judge(self, answer: Answer) -> None:
        """Raises Early, Undone, Lost, Stuck, Unknown or Ghost for a lie."""
        if isinstance(answer, TidemarkError) and not isinstance(answer, _OF_KNOWN_TOKENS):
            raise Unknown(self.tell(answer))
        if isinstance(answer, UnknownEndpointInCompletionToken) is self.ledger.visible:
            raise Ghost(self.tell(answer))
        if not self.ledger.visible:
            return
        complete = answer is TokenStatus.COMPLETE
        if complete and not self.run.has_processed(self.need):
            raise Early(self.tell(answer))
        if self.complete and not complete:
            raise Undone(self.tell(answer))
        if not complete:
            self._judge_waiting(answer)
        self.complete, self.lost = complete, not complete and not self.current

    def _judge_waiting(self, answer: Answer) -> None:
        if isinstance(answer, PipelineRestarted) is self.current:
            raise Lost(self.tell(answer))
        if self.current and self.wait <= self.ledger.reached:
            raise Stuck(self.tell(answer))
        if self.wait <= self.ledger.ended.get(self.epoch, 0):
            raise Undone(self.tell(answer))  # though nobody had asked before

    def tell(self, answer: object) -> str:
        """The token's story, for who has to find out."""
        return self.ledger.tell(
            f"token …{self.text[-8:]} of epoch {self.epoch} was answered {answer!r}",
            f"it waits for version {self.wait} at most; complete before: {self.complete}",
            f"it needs {self.need} of {self.run}",
        )


def covers(mine: Offsets, other: Offsets) -> bool:
    """Whether everything before ``other`` is before ``mine``; nothing has come in on a component at offset 0."""
    return all(mine.get(name, 0) >= offset for name, offset in other.items())


def _short(position: StreamPosition | None) -> str:
    if position is None:
        return "status only"
    completed = position.completed and position.completed.offsets
    return f"received {position.received.offsets} completed {completed} of epoch {position.epoch}"
