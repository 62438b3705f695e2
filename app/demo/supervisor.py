"""Child processes that live and die together.

Each child is the leader of a session of its own, so that Ctrl-C reaches the supervisor alone, which then stops them
all in an order that it chooses. A supervisor that was killed leaves its children behind; the next one in the same
directory knows them by the file ``children`` and stops them first.

    supervisor.lock   held by the supervisor, for as long as it lives
    children          a line each: PID, start time as the system gives it, name
"""

import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

import psutil

_log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL
_POLL_SECONDS = 0.2
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SupervisorError(Exception):
    """The children cannot be started, or one of them has ended; the message is for the user."""


@dataclass(frozen=True, slots=True)
class _Child:
    name: str
    process: "subprocess.Popen[bytes]"


class Supervisor:
    """Starts children, waits for the end of any of them or for a signal, and stops all of them when left.

    Use it as a context manager, in the main thread. Entering raises SupervisorError when another supervisor is at
    work in ``directory``, which is made when missing.
    """

    def __init__(self, directory: Path, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._directory = directory
        self._grace_seconds = grace_seconds
        self._children: list[_Child] = []
        self._signalled = threading.Event()

    def __enter__(self) -> "Supervisor":
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._directory / "supervisor.lock")
        self._handlers = {number: signal.signal(number, self._note) for number in _SIGNALS}
        _stop_left_behind(self._directory / "children", self._grace_seconds)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for child in reversed(self._children):
            if child.process.poll() is None:
                _end(child.process, self._grace_seconds)
        (self._directory / "children").unlink(missing_ok=True)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._lock)

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """Starts one more child, in a session of its own; ``environ`` is all of its environment (default: ours).

        Raises SupervisorError when the program cannot be run.
        """
        try:
            process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            raise SupervisorError(f"{name} cannot be started: {error}") from None
        self._children.append(_Child(name, process))
        with suppress(psutil.NoSuchProcess), (self._directory / "children").open("a") as file:
            file.write(f"{process.pid} {psutil.Process(process.pid).create_time()} {name}\n")

    def check(self) -> None:
        """Raises SupervisorError, which says who and how, if a child has ended though nobody asked for it."""
        for child in self._children:
            status = child.process.poll()
            if status is not None and not self._signalled.is_set():
                how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
                raise SupervisorError(f"{child.name} {how}")

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until a signal asks for the end; answers whether one did, which it need not within ``seconds``.

        Raises what `check` raises.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._signalled.is_set():
            self.check()
            left = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return False
            self._signalled.wait(left)
        return True

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signalled.set()


def _stop_left_behind(children: Path, grace_seconds: float) -> None:
    """Stops what a killed supervisor has left behind, according to its file.

    A process counts only with the start time noted, because the system may have given its PID to another since.
    """
    lines = children.read_text().splitlines() if children.exists() else []
    for line in reversed(lines):
        with suppress(psutil.Error, ValueError):
            pid, created, name = line.split(" ", 2)
            process = psutil.Process(int(pid))
            if process.create_time() == float(created):
                _log.warning("stopping %s, left behind by an earlier run that was killed", name)
                _end(process, grace_seconds)
    children.unlink(missing_ok=True)


def _end(process: "subprocess.Popen[bytes] | psutil.Process", grace_seconds: float) -> None:
    """Ends the leader of a session, and with it the session, and waits for it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired, psutil.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(grace_seconds)
            return


def _lock(path: Path) -> int:
    # Not inherited by children, so that what a killed supervisor leaves behind does not hold it.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SupervisorError(
            f"another `tidemark run` is at work in {path.parent}: stop it first, or set DATA_DIRECTORY and PORT anew"
        ) from None
    return descriptor
