"""How long a request waits for the database: one allowance for all that it does there, spent bit by bit."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_patience: ContextVar[list[float]] = ContextVar("patience")  # one number: the seconds that are left of it
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)  # of time.monotonic, while it is being spent


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """All that is done at the database inside may take this long together.

    What the caller does between two accesses, such as reading a request's body, does not count.
    """
    token = _patience.set([seconds])
    try:
        yield
    finally:
        _patience.reset(token)


@contextmanager
def spending(default: float) -> Iterator[None]:
    """Spends the caller's patience, or ``default`` seconds where nobody set one: from here on, time is running."""
    if _deadline.get() < math.inf:  # already
        yield
        return
    left = _patience.get([default])
    started = time.monotonic()
    token = _deadline.set(started + left[0])
    try:
        yield
    finally:
        _deadline.reset(token)
        left[0] -= time.monotonic() - started


def deadline() -> float:
    """The deadline in `time.monotonic`'s seconds: infinite where nothing is being spent."""
    return _deadline.get()


def seconds_left() -> float:
    """The seconds until the deadline: infinite where nothing is being spent, never below 0."""
    return max(0.0, _deadline.get() - time.monotonic())
