"""Stats as bytes, remembered by version: what is read often is made once."""

from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from uuid import UUID

from werkzeug.http import http_date, quote_etag

from app.api.stats_json import connector_stats, dump, reported_health, stale_health
from app.domain.status import stale_for
from app.store.engine import AnyRow

MAX_BYTES = 32 * 1024 * 1024  # of all remembered bodies of a process


Headers = tuple[tuple[str, str], ...]

_NOT_CACHED: Headers = (("Content-Type", "application/json"), ("Cache-Control", "private, no-cache"))
_CACHED: Headers = (
    # To nginx, where it stands before us: it may answer with this for a second, and for one more to the others while
    # one request fetches the next; and never because of an error. It reads these lines in their order, and (1.22) after
    # X-Accel-Expires no Cache-Control, so that clients' own comes last.
    ("Cache-Control", "stale-while-revalidate=1, stale-if-error=0"),
    ("X-Accel-Expires", "1"),
    *_NOT_CACHED,
)


@dataclass(frozen=True, slots=True)
class Rendering:
    """One version of a connector's stats. Only its health changes without a new one, when the next report is late."""

    version: int
    validators: Headers  # by which a client asks whether there is a newer one
    before_health: bytes
    health: bytes
    after_health: bytes
    recorded_at: datetime
    interval_seconds: float | None

    @classmethod
    def of(cls, row: AnyRow) -> "Rendering":
        """The stats in a row of ``sql/read_stats.sql``."""
        stats = dump(connector_stats(row) | {"health": reported_health(row)})
        # No text holds these: within one, the quotation marks are escaped. And the members before are ours.
        start = stats.index(b',"health":') + len(b',"health":')
        end = stats.index(b',"paused":', start)
        return cls(
            version=row.version,
            validators=(("ETag", quote_etag(str(row.version))), ("Last-Modified", http_date(row.recorded_at))),
            before_health=stats[:start],
            health=stats[start:end],
            after_health=stats[end:],
            recorded_at=row.recorded_at,
            interval_seconds=row.interval_seconds,
        )

    def stale_for(self, now: datetime) -> float | None:
        """As `app.domain.status.stale_for`."""
        return stale_for(self.recorded_at, self.interval_seconds, now)

    def headers(self, stale_for: float | None) -> Headers:
        """An answer's. A stale report's stats change while its version stays, so that no cache may go by that."""
        return (*self.validators, *(_CACHED if stale_for is None else _NOT_CACHED))

    def body(self, stale_for: float | None) -> bytes:
        """The stats as JSON; of a report that is stale by so many seconds, it says so."""
        health = self.health if stale_for is None else dump(stale_health(stale_for))[:-1]
        return self.before_health + health + self.after_health

    def __len__(self) -> int:
        return len(self.before_health) + len(self.health) + len(self.after_health)


class Renderings:
    """The newest rendering of each connector, as many as fit into ``max_bytes``; the one made first is forgotten first.

    A rendering says what its version says, for ever; whether that is still the current one, the database is asked
    each time.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._known: dict[UUID, Rendering] = {}
        self._bytes = 0
        self._lock = Lock()

    def get(self, connector: UUID) -> Rendering | None:
        """The one remembered, which may be out of date."""
        return self._known.get(connector)

    def keep(self, row: AnyRow) -> Rendering:
        """A new one, remembered from now on."""
        rendering = Rendering.of(row)
        with self._lock:
            self._forget(row.id)
            self._known[row.id] = rendering
            self._bytes += len(rendering)
            while self._bytes > self._max_bytes and self._known:
                self._forget(next(iter(self._known)))
        return rendering

    def _forget(self, connector: UUID) -> None:
        if old := self._known.pop(connector, None):
            self._bytes -= len(old)
