"""The server under test: gunicorn with several workers, killed and started again."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import requests

from tests.robustness.crash.waits import LOOK_SECONDS
from tests.serving import TIDEMARK, Server

ROOT = Path(__file__).parents[3]
SERVE = (TIDEMARK, "serve")
_PATIENCE = 120  # seconds, to come up and to go away
_POLL = 0.05


def defective(defect: str) -> tuple[str, ...]:
    """The command of a server with that defect planted in it."""
    return (sys.executable, "-m", "tests.robustness.defective_server", defect)


class Service(Server):
    """`tidemark serve`. It exits where its database is down, so its start is tried until that is up."""

    def __init__(self, database_url: str, log: Path, command: tuple[str, ...], settings: Mapping[str, str]) -> None:
        environment = {"DATABASE_URL": database_url, "WORKERS": "3", "REQUEST_TIMEOUT": f"{LOOK_SECONDS:g}", **settings}
        super().__init__(environment, command, log, ready=False)

    def start(self) -> None:
        """Starts it, also again after it was killed, and waits until it answers, whatever it says of its database."""
        deadline = time.monotonic() + _PATIENCE
        self._launch()
        while not self._answers():
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the server does not come up: see {self.log}")
            if self.process.poll() is not None:
                self._launch()
            time.sleep(_POLL)

    def kill_worker(self, which: float) -> bool:
        """SIGKILL to one of the workers, chosen by a fraction; the master starts another. Answers whether it was."""
        workers = sorted(self.workers(), key=lambda process: process.pid)
        if not workers:
            return False
        try:
            workers[int(which * len(workers))].kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def kill_master(self) -> bool:
        """SIGKILL to the master. Its workers find out and go; then it is started again."""
        _, alive = psutil.wait_procs(self._orphans(), timeout=_PATIENCE)
        assert not alive, f"workers outlive their master: {alive}"
        self.start()
        return True

    def stop(self) -> None:
        """Ends it for good, and at once."""
        for process in self._orphans():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _orphans(self) -> list[psutil.Process]:
        """Kills the master, and answers whom it leaves behind."""
        with suppress(psutil.NoSuchProcess):
            orphans = self.workers()
            self.process.kill()
            self.process.wait()
            return orphans
        return []

    def _launch(self) -> None:
        with self.log.open("a") as log:
            self.process = psutil.Popen(self.command, env=self.environment, stderr=log, stdout=log, cwd=ROOT)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.base}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False
