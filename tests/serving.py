"""The real server, `tidemark serve` on the embedded Postgres, for tests over HTTP."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

TIDEMARK = str(Path(sys.executable).parent / "tidemark")
CONNECTOR = "/v0/pipelines/demo/tables/orders/connectors/billing"


class Server:
    """`tidemark serve` on the embedded Postgres."""

    def __init__(self, data: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        env = {"PATH": os.environ["PATH"], "PORT": str(port), "DATA_DIRECTORY": str(data), "WORKERS": "2"}
        self.process = psutil.Popen([TIDEMARK, "serve"], env=env, stderr=subprocess.DEVNULL)
        until(lambda: self.get("/readyz").status_code == 200)

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
    server = Server(data)
    try:
        yield server
    finally:
        if server.process.is_running():
            server.process.terminate()
            server.process.wait(60)
