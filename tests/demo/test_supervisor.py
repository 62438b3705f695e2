"""Children that live and die together, as real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.demo.supervisor import Supervisor, SupervisorError

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def told(directory: Path) -> str:
    """The line that a child writes when it is told to end."""
    return textwrap.dedent(f"""
        import signal, sys, time
        def end(*_):
            with open({str(directory / "ended")!r}, "a") as file:
                file.write(sys.argv[1] + " ")
            sys.exit()
        signal.signal(signal.SIGTERM, end)
        open({str(directory)!r} + "/ready-" + sys.argv[1], "w").close()
        time.sleep(600)
    """)


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children() -> list[psutil.Process]:
    """This process's children that are still there."""
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_all_in_reverse_order(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number), children()
    with Supervisor(tmp_path) as supervisor:
        for name in ("first", "second", "third"):
            supervisor.start(name, [sys.executable, "-c", told(tmp_path), name])
        wait_until(lambda: len(list(tmp_path.glob("ready-*"))) == 3)
        assert supervisor.wait(0.05) is False
        threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
        assert supervisor.wait() is True
    assert (tmp_path / "ended").read_text() == "third second first "
    assert (signal.getsignal(number), children()) == before


def test_children_are_in_sessions_of_their_own(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("a child", SLEEP)
        (child,) = children()
        assert os.getsid(child.pid) == child.pid != os.getsid(0)


@pytest.mark.parametrize(
    ("code", "how"), [("raise SystemExit(3)", "exit status 3"), ("import os; os.kill(os.getpid(), 9)", "by signal 9")]
)
def test_the_end_of_one_is_the_end_of_all(tmp_path: Path, code: str, how: str) -> None:
    before = children()
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("the good one", SLEEP)
        supervisor.start("the bad one", [sys.executable, "-c", code])
        with pytest.raises(SupervisorError, match=rf"^the bad one .*{how}$"):
            supervisor.wait()
    assert children() == before


def test_who_does_not_listen_is_killed(tmp_path: Path) -> None:
    before = children()
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with Supervisor(tmp_path, grace_seconds=0.3) as supervisor:
        supervisor.start("the deaf one", [sys.executable, "-c", deaf])
        time.sleep(0.5)
    assert children() == before


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="a child cannot be started"), Supervisor(tmp_path) as supervisor:
        supervisor.start("a child", [str(tmp_path / "nothing")])


def test_one_supervisor_at_a_time(tmp_path: Path) -> None:
    with (
        Supervisor(tmp_path),
        pytest.raises(SupervisorError, match="another `tidemark run` is at work"),
        Supervisor(tmp_path),
    ):
        pytest.fail("two are at work")
    with Supervisor(tmp_path):
        pass


ABANDONED = """
import sys, time
from pathlib import Path
from app.demo.supervisor import Supervisor
with Supervisor(Path(sys.argv[1])) as supervisor:
    supervisor.start("the child", [sys.executable, "-c", sys.argv[2], "child"])
    supervisor.wait()
"""


def test_what_a_killed_supervisor_left_behind_is_stopped(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ABANDONED, tmp_path, told(tmp_path)]) as killed:
        wait_until(lambda: (tmp_path / "ready-child").exists() and (tmp_path / "children").exists())
        (child,) = psutil.Process(killed.pid).children()
        killed.kill()
    assert child.is_running()
    with Supervisor(tmp_path):
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert (tmp_path / "ended").read_text() == "child "


@pytest.mark.parametrize("line", ["{pid} 1.5 somebody else", "2000000000 1.5 nobody", "\0\0\0", "{pid} x y", "1"])
def test_only_what_is_surely_its_own_is_stopped(tmp_path: Path, line: str) -> None:
    with subprocess.Popen(SLEEP) as other:
        (tmp_path / "children").write_text(line.format(pid=other.pid) + "\n")
        with Supervisor(tmp_path):
            assert other.poll() is None
        other.kill()
