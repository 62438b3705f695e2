"""How long a request waits for the database: one allowance for all that it does there, spent bit by bit."""

import math
import time
from contextvars import ContextVar, Token

_patience: ContextVar[list[float] | None] = ContextVar(
    "patience", default=None
)  # one number: the seconds that are left of it
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)  # of time.monotonic, while it is being spent


class patience:  # noqa: N801 - used as a function; a class, because that costs a third of a generator at each request
    """All that is done at the database inside may take so many seconds together.

    What the caller does between two accesses, such as reading a request's body, does not count.
    """

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token = _patience.set([self._seconds])

    def __exit__(self, *_: object) -> None:
        _patience.reset(self._token)


class spending:  # noqa: N801 - the same
    """Spends the caller's patience, or ``default`` seconds where nobody set one: from here on, time is running."""

    __slots__ = ("_default", "_left", "_started", "_token")

    def __init__(self, default: float) -> None:
        self._default = default
        self._token: Token[float] | None = None

    def __enter__(self) -> None:
        if _deadline.get() < math.inf:  # already
            return
        self._left = _patience.get() or [self._default]
        self._started = time.monotonic()
        self._token = _deadline.set(self._started + self._left[0])

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _deadline.reset(self._token)
            self._left[0] -= time.monotonic() - self._started


def deadline() -> float:
    """The deadline in `time.monotonic`'s seconds: infinite where nothing is being spent."""
    return _deadline.get()


def seconds_left() -> float:
    """The seconds until the deadline: infinite where nothing is being spent, never below 0."""
    return max(0.0, _deadline.get() - time.monotonic())
