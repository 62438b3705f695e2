"""How many may do something for long at a time."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock

from app.domain.errors import TooManyRequests


class Seats:
    """``most`` of them, of which one holder, a credential, may have ``most_of_one``."""

    def __init__(self, *, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._lock = Lock()
        self._holders: Counter[Hashable | None] = Counter()

    @property
    def number(self) -> int:
        """How many of them are taken."""
        with self._lock:
            return self._holders.total()

    @contextmanager
    def taken(self, holder: Hashable | None) -> Iterator[None]:
        """One of them is taken for as long as the block lasts; None: by nobody who has a limit of his own.

        Raises TooManyRequests.
        """
        with self._lock:
            if self._holders.total() >= self._most or (holder and self._holders[holder] >= self._most_of_one):
                raise TooManyRequests
            self._holders[holder] += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders[holder] -= 1
                if not self._holders[holder]:
                    del self._holders[holder]
