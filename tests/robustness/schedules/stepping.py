"""Two transactions stopped between their statements, so that every order of their steps can be played.

Each side works in a thread of its own and is stopped before each of its statements and before COMMIT; a schedule, such
as ``ABBA``, says whose step is next. A side that waits for a lock of the other has no step then, and the other goes on.
What is left of both when the schedule is over (a transaction may be repeated) goes on without one, A first.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

SIDES = "AB"
_LONGEST_SECONDS = 60.0  # for anything to happen
_SOON_SECONDS = 0.002  # for a step that waits for nobody; twice as long for each time it was looked at
_LATE_SECONDS = 0.05  # but no longer
_BLOCKED = "SELECT pid FROM unnest(CAST(:pids AS int[])) AS u (pid) WHERE pg_blocking_pids(pid) && CAST(:by AS int[])"
_here = threading.local()


class WaitedForEver(AssertionError):
    """Neither side got any further."""


@dataclass(frozen=True)
class Played:
    """How a schedule went."""

    schedule: str
    outcomes: tuple[Any, Any]  # what each side answered or raised
    trace: tuple[str, ...]  # whose step, and what it was
    waited: frozenset[str]  # the sides that were seen waiting for a lock of the other
    deadlocks: int
    first: str | None  # the side that had ended before the other began

    def steps(self, side: str) -> int:
        return sum(step.startswith(side) for step in self.trace)


def watched(engine: sa.Engine) -> sa.Engine:
    """The engine; a thread that plays a side is stopped when it uses it, any other is not."""
    sa.event.listen(engine, "before_cursor_execute", lambda c, cursor, sql, *_: _stop(c, sql))
    sa.event.listen(engine, "commit", lambda c: _stop(c, "COMMIT"))
    return engine


def schedules(a: int, b: int) -> Iterator[str]:
    """Every order of so many steps of A and so many of B."""
    for places in itertools.combinations(range(a + b), a):
        yield "".join("A" if place in places else "B" for place in range(a + b))


class _Side(threading.Thread):
    """One of the two; what it shares with the other is guarded by ``changed``."""

    def __init__(self, name: str, work: Callable[[], Any], changed: threading.Condition) -> None:
        super().__init__(name=name, daemon=True)
        self.work, self.changed = work, changed
        self.outcome: Any = None
        self.step: str | None = None  # the one it is stopped before
        self.done = self.released = False
        self.pid = 0  # of its backend
        self.began = self.ended = 0  # when, counted in steps of both; 0: not yet

    @property
    def running(self) -> bool:
        return self.step is None and not self.done

    def run(self) -> None:
        _here.side = self
        try:
            self.outcome = self.work()
        except Exception as error:
            self.outcome = error
        with self.changed:
            self.done = True
            self.changed.notify_all()

    def stop(self, pid: int, step: str) -> None:
        with self.changed:
            if self.released:
                return
            self.pid, self.step = pid, step
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.step is None, _LONGEST_SECONDS)

    def release(self) -> None:
        with self.changed:
            self.released, self.step = True, None
            self.changed.notify_all()


class Stage:
    """Plays two pieces of work against each other; ``monitor`` looks who waits for whom, and commits by itself."""

    def __init__(self, monitor: sa.Connection) -> None:
        self._monitor = monitor

    def play(self, works: tuple[Callable[[], Any], Callable[[], Any]], schedule: str) -> Played:
        """Raises WaitedForEver."""
        changed = threading.Condition()
        self._sides = {name: _Side(name, work, changed) for name, work in zip(SIDES, works, strict=True)}
        self._changed, self._trace = changed, list[str]()
        self._waited, self._deadlocks = set[str](), 0
        self._waiting = list[_Side]()  # who was, when last looked, if one alone
        for side in self._sides.values():
            side.start()
        try:
            self._settle()
            for name in schedule:
                self._let_go(self._sides[name])
            self._finish()
        finally:
            for side in self._sides.values():
                side.release()
                side.join(_LONGEST_SECONDS)
        return self._played(schedule)

    def _finish(self) -> None:
        while unfinished := [side for side in self._sides.values() if not side.done]:
            stopped = [side for side in unfinished if side.step is not None]
            if stopped:
                self._let_go(stopped[0])
            else:
                self._settle()

    def _let_go(self, side: _Side) -> None:
        """One step of it, if it is stopped before one."""
        if side.step is None:
            return
        with self._changed:
            self._trace.append(f"{side.name} {_label(side.step)}")
            side.began = side.began or len(self._trace)
            side.step = None
            self._changed.notify_all()
        self._settle()
        for each in self._sides.values():
            if each.done and not each.ended:
                each.ended = len(self._trace)

    def _settle(self) -> None:
        """Waits until each side is stopped, has ended, or waits for a lock of the other; a deadlock, until it ended."""
        deadline, looks, patience = time.monotonic() + _LONGEST_SECONDS, 0, _SOON_SECONDS
        while running := [side for side in self._sides.values() if side.running]:
            # One that waits already goes on waiting, unless the other's step has let it go: no need to give it time.
            if running != self._waiting and self._has_one_stopped(running, patience):
                continue
            blocked = self._blocked(running)
            self._waiting, patience = blocked if len(blocked) == 1 else [], min(2 * patience, _LATE_SECONDS)
            self._waited |= {side.name for side in blocked}
            if len(blocked) == len(running) == 1 and any(side.step for side in self._sides.values()):
                return
            looks = looks + 1 if len(blocked) == 2 else 0
            self._deadlocks += looks == 2  # at one look alone, either may have been about to let the other go
            if time.monotonic() > deadline:
                raise WaitedForEver(self._trace)

    def _has_one_stopped(self, running: list[_Side], seconds: float) -> bool:
        """Whether one of them did not go on running for so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not all(side.running for side in running), seconds)

    def _blocked(self, running: list[_Side]) -> list[_Side]:
        """Those that wait for a lock of the other; not looked up where that has no transaction to hold one."""
        if not all(side.began and not side.done for side in self._sides.values()):
            return []
        pids = [side.pid for side in running]
        sides = [side.pid for side in self._sides.values()]
        found = set(self._monitor.scalars(sa.text(_BLOCKED), {"pids": pids, "by": sides}))
        return [side for side in running if side.pid in found]

    def _played(self, schedule: str) -> Played:
        a, b = self._sides.values()
        if a.is_alive() or b.is_alive():
            raise WaitedForEver(self._trace)
        first = "A" if a.ended < b.began else "B" if b.ended < a.began else None
        return Played(
            schedule=schedule,
            outcomes=(a.outcome, b.outcome),
            trace=tuple(self._trace),
            waited=frozenset(self._waited),
            deadlocks=self._deadlocks,
            first=first,
        )


def _stop(connection: sa.Connection, step: str) -> None:
    side = getattr(_here, "side", None)
    if side is not None:
        raw: Any = connection.connection.dbapi_connection
        side.stop(raw.info.backend_pid, step)


def _label(sql: str) -> str:
    """The first words of a statement, past its comments."""
    lines = [line for line in sql.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    return " ".join(lines[0].split())[:40]
