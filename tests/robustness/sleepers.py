"""Those who wait in one process of the service under test: the real code, and a thread for each of them."""

import time
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from threading import Event, Lock
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Engine, select

from app.domain.waiting import Standing, Until
from app.services import check, wait, waiters
from app.services.check import Asked
from app.services.seats import Seats
from app.services.wait import Outcome, WaitRequest
from app.store import engine, standings

MOST = 3  # at a time
RETENTION = timedelta(days=30)
_LIMIT_SECONDS = 300.0  # of a wait: nobody is to see it
_LISTENING_SECONDS = 2.0  # for a listener to begin
_ENDING_SECONDS = 10.0
_POLL_SECONDS = 0.001

T = TypeVar("T")
Happening = Callable[[], object]


class Sleepers:
    """They go on until they are answered or the process ends. Nothing is started before somebody waits."""

    def __init__(self, database: Engine, url: str) -> None:
        self._database = database
        self._waiters = _Watched(database, url, Seats(most=MOST, most_of_one=MOST))
        self._threads = ThreadPoolExecutor(MOST)
        self._answers: list[Future[Any]] = []

    def close(self) -> None:
        """As at the end of the process: everybody is answered as things stand."""
        self._waiters.close()
        futures.wait(self._answers, _ENDING_SECONDS)
        self._threads.shutdown(wait=False)

    def look(self, asked: Sequence[Asked]) -> list[Outcome]:
        """Checks the tokens, for who waits and for who does not."""
        return list(engine.run(self._database, lambda c: check.check(c, asked, retention=RETENTION)))

    def wait(
        self,
        asked: Sequence[Asked],
        until: Until,
        looked: Happening | None,
        answered: Callable[[list[Outcome], bool], T],
    ) -> "Future[T]":
        """Begins a wait, which has looked for the first time when this returns.

        ``looked`` happens before it knows what it saw; ``answered`` makes something of the answer, and of whether the
        process is ending, in its thread.
        """
        under_way = Event()
        request = WaitRequest(seconds=_LIMIT_SECONDS, until=until, holder=None, hung_up=lambda: False)

        def look(places: Sequence[int]) -> list[Outcome]:
            found = self.look([asked[place] for place in places])
            if not under_way.is_set():
                self._listen()
                if looked:
                    looked()
                under_way.set()
            return found

        def carry_out() -> T:
            try:
                outcomes = wait.wait(self._waiters, [each.id for each in asked], look, request)
                return answered(outcomes, self._waiters.closing)
            finally:
                under_way.set()

        answer = self._threads.submit(carry_out)
        self._answers.append(answer)
        under_way.wait()
        return answer

    def hear(self, connector: UUID, completed_version: int, seconds: float = waiters.RECHECK_SECONDS) -> None:
        """Until the process has been told that the connector has got so far, or so long."""
        deadline = time.monotonic() + seconds
        while (connector, completed_version) not in self._waiters.told and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _listen(self) -> None:
        """Until notifications are heard: what is missed before that is noticed half a second later, by a re-check."""
        connector, deadline = uuid4(), time.monotonic() + _LISTENING_SECONDS
        while not self._waiters.told and time.monotonic() < deadline:
            engine.run(self._database, lambda c: c.execute(select(standings.notifying(Standing(connector, 0, 0)))))
            self.hear(connector, 0, 2 * _POLL_SECONDS)


class _Watched(waiters.Waiters):
    """They remember what they were told, and once they are closed, they leave the database alone."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.told: set[tuple[UUID, int]] = set()
        self._looking = Lock()

    def tell(self, standing: Standing) -> None:
        super().tell(standing)
        self.told.add((standing.connector_id, standing.completed_version))

    def close(self) -> None:
        super().close()
        with self._looking:
            pass  # a look that was under way has ended

    def _look(self) -> None:
        with self._looking:
            if not self.closing:
                super()._look()
