"""The real server, `tidemark serve`, for tests over HTTP."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

TIDEMARK = str(Path(sys.executable).parent / "tidemark")
CONNECTOR = "/v0/pipelines/demo/tables/orders/connectors/billing"


class Server:
    """`tidemark serve`, two workers, configured by an environment of its own."""

    def __init__(
        self,
        environment: Mapping[str, str],
        command: Sequence[str] = (TIDEMARK, "serve"),
        log: Path = Path(os.devnull),
        ready: bool = True,
    ) -> None:
        """``command`` is for a server that is not quite the real one; it must come to serve on PORT as that does.

        ``ready`` says whether it is expected to be ready, and not only alive.
        """
        self.environment = {"PATH": os.environ["PATH"], "PORT": str(free_port()), "WORKERS": "2"} | dict(environment)
        self.base = f"http://127.0.0.1:{self.environment['PORT']}"
        self.command = command
        self.log = log
        self._alive = "/readyz" if ready else "/healthz"
        self.start()

    def start(self) -> None:
        """Starts it, also again after it was killed, and waits until it is ready (or alive, see above)."""
        with self.log.open("a") as log:
            self.process = psutil.Popen(self.command, env=self.environment, stderr=log)
        until(lambda: self.get(self._alive).status_code == 200)

    def workers(self) -> list[psutil.Process]:
        """gunicorn's. With an embedded Postgres its master is a child of the process that keeps that."""
        if "DATABASE_URL" in self.environment:
            return list(self.process.children())
        return [
            worker for child in self.process.children() if "gunicorn" in child.cmdline() for worker in child.children()
        ]

    def kill(self) -> None:
        """SIGKILL to it and to its children; gunicorn's workers notice by themselves that their master is gone."""
        for process in [self.process, *self.process.children()]:
            process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ends it as an operator would, in-flight requests first."""
        if self.process.is_running():
            self.process.terminate()
            self.process.wait(60)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.base + path, timeout=10)

    def report(self, version: int, received: int, completed: int) -> None:
        answer = requests.put(
            f"{self.base}{CONNECTOR}/stats",
            json={"position": {"received": received, "completed": completed}},
            headers={"If-Match": f'"{version}"'},
            timeout=10,
        )
        assert answer.status_code in (201, 204), answer.text

    def token(self) -> str:
        return str(self.get(f"{CONNECTOR}/completion_token").json()["token"])

    def check(self, token: str) -> int:
        return self.get(f"/v0/pipelines/demo/completion_status?token={token}").status_code


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Waits until it holds; a refused or broken connection counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except requests.ConnectionError:
            pass
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.05)


@contextmanager
def serving(data: Path) -> Iterator[Server]:
    """The server on an embedded Postgres with its data in there."""
    server = Server({"DATA_DIRECTORY": str(data)})
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens just now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
