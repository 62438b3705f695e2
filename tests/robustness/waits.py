"""Those who wait for tokens in the model test, each in a thread of its own, and their judge."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from app.domain.errors import TidemarkError
from app.domain.token import TokenStatus
from app.domain.waiting import Until
from app.services.waiters import RECHECK_SECONDS
from tests.domain.history import Early, Lost, Undone
from tests.robustness.ledger import Answer, Token

SLACK_SECONDS = 20.0  # for a look at the database, and for a machine that has other things to do
COMPLETE, IN_PROGRESS, LOST = "complete", "inprogress", "lost"


class Overslept(AssertionError):
    """Somebody was left asleep though what he waited for was decided, or his process was about to end."""


class Dismissed(AssertionError):
    """A wait was answered with time left, though nothing was decided and its process went on."""


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody who waited was answered, and what was true just then."""

    answers: Sequence[Answer]
    processed: Sequence[bool]  # whether all that each token needs had been
    process_ended: bool

    @classmethod
    def now(cls, tokens: Sequence[Token], answers: Sequence[Answer], process_ended: bool) -> "Told":
        """In the thread of the one who waited: a moment later the truth may have caught up with what was too early."""
        return cls(answers, [token.run.has_processed(token.need) for token in tokens], process_ended)


@dataclass(eq=False)
class Wait:
    """One wait, for all or any of its tokens."""

    tokens: Sequence[Token]
    until: Until
    told: "Future[Told]"
    process_ended: bool = False
    _was: dict[str, str] = field(default_factory=dict)  # what each token was once decided

    @property
    def must_end(self) -> bool:
        """Whether its process ends, or the ledger says that all or any of the tokens are complete, or never will be."""
        return self.process_ended or _decided(self.until, [self._was.get(t.text, IN_PROGRESS) for t in self.tokens])

    def take_note(self) -> None:
        """Of what the ledger says by now. A token that is decided is not looked at again; its connector may return."""
        for token in self.tokens:
            if token.ledger.visible and token.complete:
                self._was.setdefault(token.text, COMPLETE)
            elif not token.current:
                self._was.setdefault(token.text, LOST)

    def end(self) -> None:
        """Lets it end, within the re-check period. Raises Overslept, and whatever the wait itself raises."""
        try:
            self.told.result(RECHECK_SECONDS + SLACK_SECONDS)
        except TimeoutError:
            raise Overslept(self._tell("nothing")) from None

    def judge(self) -> str:
        """What became of it, now that it is answered, in one word. Raises Dismissed, and what `Token.judge` does."""
        told = self.told.result()
        statuses = [_status(answer) for answer in told.answers]
        decided = _decided(self.until, statuses)
        if not decided and not told.process_ended:
            raise Dismissed(self._tell(told.answers))
        for token, answer, processed in zip(self.tokens, told.answers, told.processed, strict=True):
            if decided or answer is not TokenStatus.IN_PROGRESS:
                _judge(token, answer, processed)
            else:
                token.judge(answer)  # as things stood when the process ended, which is as they stand now
        if not decided:
            return IN_PROGRESS
        enough = any if self.until is Until.ANY else all
        return COMPLETE if enough(status == COMPLETE for status in statuses) else LOST

    def _tell(self, answer: object) -> str:
        told = f"a wait for {self.until.value} of {len(self.tokens)} was answered {answer!r}"
        return "\n".join([told, *(token.tell(self._was.get(token.text, IN_PROGRESS)) for token in self.tokens)])


class Waits:
    """All that go on."""

    def __init__(self, tally: Counter[str]) -> None:
        self._tally = tally
        self._going_on: list[Wait] = []

    def __len__(self) -> int:
        return len(self._going_on)

    def add(self, wait: Wait) -> None:
        """One that has just begun."""
        self._going_on.append(wait)
        self._tally["waits"] += 1

    def end_of_process(self) -> None:
        """All waits are answered as things stand."""
        for wait in self._going_on:
            wait.process_ended = True

    def judge(self) -> None:
        """Lets those end that must, and judges all that have. Raises what `Wait.end` and `Wait.judge` do."""
        for wait in self._going_on:
            wait.take_note()
            if wait.must_end:
                wait.end()
        ended = [wait for wait in self._going_on if wait.told.done()]
        self._going_on = [wait for wait in self._going_on if wait not in ended]
        for wait in ended:
            self._tally[f"waits ended {wait.judge()}"] += 1


def _decided(until: Until, statuses: Sequence[str]) -> bool:
    enough = COMPLETE if until is Until.ANY else LOST
    return enough in statuses or IN_PROGRESS not in statuses


def _status(answer: Answer) -> str:
    if isinstance(answer, TidemarkError):
        return LOST
    return COMPLETE if answer is TokenStatus.COMPLETE else IN_PROGRESS


def _judge(token: Token, answer: Answer, processed: bool) -> None:
    """One answer of several. What was in progress among them may have been decided since."""
    if isinstance(answer, TidemarkError):
        if token.current:
            raise Lost(token.tell(answer))
    elif answer is TokenStatus.COMPLETE:
        if not processed:
            raise Early(token.tell(answer))
        if token.ledger.visible and not token.complete:
            raise Undone(token.tell(answer))
