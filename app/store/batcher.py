"""Natural batching (design §4): calls that come while one is at the database go there together, right after it."""

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, suppress
from threading import Lock
from typing import Generic, TypeVar

from app.domain.errors import ServiceUnavailable
from app.store.deadline import deadline, seconds_left

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Answers calls from any number of threads by batches, one at a time.

    The first call is worked off at once; those that come meanwhile are the next batch. There is no timer, so an idle
    caller waits for nobody, and no thread: one of a batch's own callers works for all of it.

    ``work`` takes a batch's items and gives as many answers, in their order; an answer that is an exception is raised
    to its caller. When a batch raises, each caller works off its own item, so that one bad item fails alone; but
    ServiceUnavailable is everybody's, unless it is certain that nothing was done: the database is away, or a COMMIT's
    outcome is unknown. ``alone`` is how an item is worked off by its caller, if otherwise: it may take its time, since
    nobody stands behind it, where ``work`` has to give up, as undone, what somebody is in the way of.
    ``admit`` is entered by every call for as long as it takes: it bounds how many wait, and starts their deadlines.
    ``key``: two items with the same one never share a batch, so the second finds what the first has left behind.
    Only `threading`'s primitives are used, so that greenlets will do for threads.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        *,
        alone: Callable[[Item], Answer | Exception] | None = None,
        admit: Callable[[], AbstractContextManager[None]],
        max_batch: int,
        key: Callable[[Item], Hashable] | None = None,
    ) -> None:
        self._work = work
        self._alone = alone
        self._admit = admit
        self._max_batch = max_batch
        self._key = key
        self._lock = Lock()  # held for moments only, never at the database
        self._waiting: deque[_Call[Item, Answer]] = deque()
        self._busy = False  # whether some call leads a batch, or has been told to

    @property
    def queued(self) -> int:
        """How many calls wait for the next batch."""
        return len(self._waiting)

    def __call__(self, item: Item) -> Answer:
        """The item's answer; raises what became of it, and ServiceUnavailable at the caller's deadline."""
        with self._admit():
            call: _Call[Item, Answer] = _Call(item)
            with self._lock:
                self._waiting.append(call)
                call.leads, self._busy = not self._busy, True
            try:
                if not call.leads:
                    call.wait()
                while not call.answered:
                    self._lead(call)
                    if not call.answered:
                        call.wait()
            except BaseException:  # killed, it may have been: the others must not wait for it
                self._withdraw(call)
                raise
            outcome = call.outcome
            if isinstance(outcome, _GoAlone):
                outcome = self._alone(item) if self._alone else self._work([item])[0]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    def _withdraw(self, call: "_Call[Item, Answer]") -> None:
        with self._lock:
            with suppress(ValueError):
                self._waiting.remove(call)
            if call.leads:
                self._hand_over(call)

    def _lead(self, call: "_Call[Item, Answer]") -> None:
        """Works off a batch. The call itself is in it, unless others with its key, or too many others, come first."""
        batch: list[_Call[Item, Answer]] = []
        outcomes: Sequence[Answer | Exception] = []
        try:
            # Whoever is ready to call gets aboard, and nobody is waited for. Between greenlets, this makes the batches.
            time.sleep(0)
            with self._lock:
                batch = self._next_batch()
            outcomes = self._outcomes(batch)
        finally:
            outcomes = outcomes or [ServiceUnavailable() for _ in batch]  # where this call was killed
            for each, outcome in zip(batch, outcomes, strict=True):
                each.answer(outcome)
            with self._lock:
                self._hand_over(call)

    def _hand_over(self, leader: "_Call[Item, Answer]") -> None:
        """Lets one of those who wait lead the next batch, under the lock."""
        leader.leads = False
        self._busy = bool(self._waiting)
        if self._busy:
            # The one with the most time left, so that a batch is not given up at the deadline of one who has little.
            next_leader = max(self._waiting, key=_deadline)
            next_leader.leads = True
            next_leader.woken.release()

    def _outcomes(self, batch: "list[_Call[Item, Answer]]") -> Sequence[Answer | Exception]:
        try:
            outcomes = self._work([call.item for call in batch])
            if len(outcomes) != len(batch):
                raise AssertionError(f"{len(outcomes)} answers to {len(batch)} items")
            return outcomes
        except ServiceUnavailable as error:
            together = not error.undone or (len(batch) == 1 and self._alone is None)
            return [ServiceUnavailable() if together else _GoAlone() for _ in batch]
        except Exception as error:
            if len(batch) == 1:
                return [error]
            _log.warning("a batch of %d failed, each of its items goes alone: %s", len(batch), type(error).__name__)
            return [_GoAlone() for _ in batch]

    def _next_batch(self) -> "list[_Call[Item, Answer]]":
        """The calls that have waited the longest, no two with the same key; a later one of these keeps its place."""
        waiting, key = self._waiting, self._key
        if key is None:
            return [waiting.popleft() for _ in range(min(len(waiting), self._max_batch))]
        batch: list[_Call[Item, Answer]] = []
        left: list[_Call[Item, Answer]] = []
        keys = set[Hashable]()
        while waiting and len(batch) < self._max_batch:
            call = waiting.popleft()
            name = key(call.item)
            (left if name in keys else batch).append(call)
            keys.add(name)
        waiting.extendleft(reversed(left))
        return batch


_LONGEST_WAIT = 3600.0  # seconds; threading cannot wait for ever with a time-out


class _Call(Generic[Item, Answer]):
    """One caller's item on its way."""

    __slots__ = ("answered", "deadline", "item", "leads", "outcome", "woken")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.deadline = deadline()
        self.leads = False  # whether it is this caller's turn to work off a batch
        self.answered = False
        self.outcome: Answer | Exception
        self.woken = Lock()  # released when it is to lead, and when it is answered
        self.woken.acquire()

    def wait(self) -> None:
        """Returns when the call has to lead or is answered; raises ServiceUnavailable at its deadline."""
        if not self.woken.acquire(timeout=min(seconds_left(), _LONGEST_WAIT)):
            raise ServiceUnavailable

    def answer(self, outcome: Answer | Exception) -> None:
        self.outcome, self.answered = outcome, True
        self.woken.release()


class _GoAlone(Exception):
    """The batch came to nothing; the caller is to work off its own item."""


def _deadline(call: "_Call[Item, Answer]") -> float:
    return call.deadline
