"""Whose a credential is, and for how long that is remembered."""

import hmac
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from hashlib import sha256
from threading import Lock

from sqlalchemy import Connection

from app import metrics
from app.domain.api_key import ApiKeyText
from app.domain.errors import AuthenticationFailed, ServiceUnavailable
from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Principal, Role
from app.store import keys

ANYONE = Principal(name="anyone", tenant_id=tenant_id(DEFAULT_TENANT), tenant=DEFAULT_TENANT, role=Role.ADMIN)
"""Who makes a request where nobody is asked for a credential (AUTH_PROVIDER=none)."""

WATCHED_SECONDS = 10.0
"""How long one look at the keys of those who stay for long does for all of them."""

REMEMBERED_SECONDS = 2.0
"""How long a process lets a key in without another look: so much later, at most, a revoked key is refused."""

_MOST_REMEMBERED = 10_000  # keys

_NO_DIGEST = bytes(32)


class Principals:
    """Whom the keys seen a moment ago stand for, by the digest of the key; never the key itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[bytes, tuple[float, Principal]] = {}

    def find(self, text: str, look: Callable[[ApiKeyText], Principal]) -> Principal:
        """Whose key the text is, by ``look`` unless it is remembered; raises AuthenticationFailed.

        The time counts from before the look, so that a revocation which that did not see is not remembered longer.
        """
        digest, now, seen = sha256(text.encode(errors="replace")).digest(), self._clock(), self._seen
        until, principal = seen.get(digest, (0.0, None))
        if principal is None or until <= now:
            metrics.KEY_LOOKUPS.inc()
            principal = look(ApiKeyText.parse(text))
            if len(seen) >= _MOST_REMEMBERED:
                seen.clear()
            seen[digest] = now + REMEMBERED_SECONDS, principal
        return principal

    @property
    def number(self) -> int:
        """How many keys are remembered."""
        return len(self._seen)

    def forget(self) -> None:
        """Looks at every key again, for one was revoked here. A look that is under way remembers nothing either."""
        self._seen = {}


class KeyWatch:
    """Whether the keys of those who stay for long are still valid, looked up for all of them together."""

    def __init__(self, look: Callable[[Sequence[str]], set[str]], clock: Callable[[], float] = time.monotonic) -> None:
        """``look`` gives those of the keys, by their ids, that are valid; it may raise ServiceUnavailable."""
        self._look = look
        self._clock = clock
        self._lock = Lock()
        self._watched: Counter[str] = Counter()
        self._invalid: set[str] = set()
        self._next_look = 0.0

    @contextmanager
    def watching(self, key: str | None) -> Iterator[Callable[[], bool]]:
        """What tells, for as long as the block lasts, whether the key of this id is valid; None always is."""
        if key is None:
            yield lambda: True
            return
        with self._lock:
            self._watched[key] += 1
        try:
            yield partial(self._is_valid, key)
        finally:
            with self._lock:
                self._watched -= Counter([key])

    def _is_valid(self, key: str) -> bool:
        with self._lock:
            is_due = self._clock() >= self._next_look
            self._next_look = self._clock() + WATCHED_SECONDS if is_due else self._next_look
            watched = list(self._watched)
        if is_due:
            with suppress(ServiceUnavailable):  # nobody is turned away because the database is
                self._invalid = set(watched) - self._look(watched)
        return key not in self._invalid


def authenticate(connection: Connection, key: ApiKeyText, note_use: Callable[[str, datetime], None]) -> Principal:
    """Whose key it is; raises AuthenticationFailed for an unknown, wrong, expired or revoked one, all alike.

    ``note_use`` is told the key's id and the present hour, when no use of the key in this hour has been recorded yet.
    """
    holder = keys.find_holder(connection, key.id)
    # Compared in either case, so that the time taken does not tell an unknown id from a wrong secret.
    matches = hmac.compare_digest(holder.digest if holder else _NO_DIGEST, key.digest)
    if holder is None or not matches:
        raise AuthenticationFailed
    if holder.unrecorded_hour:
        note_use(key.id, holder.unrecorded_hour)
    return holder.principal
