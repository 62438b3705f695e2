"""The servers that are compared: each is started as its users would start it, with two workers, on loopback."""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
import sqlalchemy as sa

from tests.nginx import BINARY as NGINX
from tests.nginx import UNLIMITED, nginx
from tests.serving import free_port, until

ROOT = Path(__file__).parents[2]
WORKERS = 2
_GUNICORN = (sys.executable, "-P", "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py")
_UVICORN = (
    *(sys.executable, "-m", "uvicorn", "tests.benchmarks.peers.fastapi_app:app", "--workers", str(WORKERS)),
    *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running one; ``authorization`` is what its requests have to carry."""

    name: str
    base: str
    roots: tuple[psutil.Process, ...]  # of its processes
    authorization: str = ""

    def processes(self) -> list[psutil.Process]:
        return [process for root in self.roots for process in (root, *root.children(recursive=True))]


@contextmanager
def ours(database: str, **settings: str) -> Iterator[Server]:
    """Ours, as in production. ``settings`` are further variables of its environment."""
    with _gunicorn((), {"DATABASE_URL": database, "AUTH_PROVIDER": "none"} | settings, "ours", "/readyz") as server:
        yield server


@contextmanager
def ours_behind_nginx(database: str, directory: Path) -> Iterator[Server]:
    """Ours on a Unix socket, behind nginx as deploy/nginx.conf configures it but for the limits on one client."""
    path = directory / "gunicorn.sock"
    environment = {"DATABASE_URL": database, "AUTH_PROVIDER": "none", "ALLOW_UNAUTHENTICATED": "1", "SOCKET": str(path)}
    with (
        _running(_GUNICORN, environment, "ours", "", lambda: _listens(path)) as server,
        nginx(directory, path, UNLIMITED) as base,
    ):
        until(lambda: _answers(f"{base}/readyz"), 30)  # its socket is there before its workers are
        proxy = psutil.Process(int((directory / "pid").read_text()))
        yield Server("ours through nginx", base, (*server.roots, proxy))


@contextmanager
def smorest(database: str, path: str) -> Iterator[Server]:
    """Peer (b). ``path`` is of something that it answers."""
    command = ("tests.benchmarks.peers.smorest_app:create_app()",)
    with _gunicorn(command, {"DATABASE_URL": database}, "flask-smorest", path) as server:
        yield server


@contextmanager
def constant(database: str, path: str, answer: Path) -> Iterator[Server]:
    """Limit (c)."""
    environment = {"DATABASE_URL": database, "CONSTANT_ANSWER": str(answer)}
    with _gunicorn(("tests.benchmarks.peers.constant_app:app",), environment, "constant Flask view", path) as server:
        yield server


@contextmanager
def fastapi(database: str, path: str) -> Iterator[Server]:
    """Peer (a)."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    environment = {"ASYNCPG_DSN": plain_url(database)}
    command = (*_UVICORN, "--host", "127.0.0.1", "--port", str(port))
    with _running(command, environment, "FastAPI", base, lambda: _answers(base + path)) as server:
        yield server


@contextmanager
def nginx_return(directory: Path, answer: bytes) -> Iterator[Server]:
    """Limit (d): nginx returns a constant text; nothing is logged."""
    assert NGINX is not None, "nginx is not installed"
    assert b"'" not in answer, "the answer does not go into a quoted string"
    port = free_port()
    body = answer.decode().rstrip("\n").replace("\\", "\\\\").replace("$", "")
    configuration = directory / "return.conf"
    configuration.write_text(f"""
        user {"root" if os.geteuid() == 0 else "nobody"};
        worker_processes {WORKERS};
        pid {directory}/return.pid;
        error_log {directory}/return.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            keepalive_requests 1000000;
            default_type application/json;
            server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{body}'; }} }}
        }}
    """)
    base = f"http://127.0.0.1:{port}"
    command = (NGINX, "-e", f"{directory}/return.log", "-c", str(configuration), "-g", "daemon off;")
    with _running(command, {}, "nginx return 200", base, lambda: _answers(base)) as server:
        yield server


def plain_url(database: str) -> str:
    """The URL for others than SQLAlchemy."""
    return sa.make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def _gunicorn(arguments: Sequence[str], environment: Mapping[str, str], name: str, path: str) -> Iterator[Server]:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    settings = {"HOST": "127.0.0.1", "PORT": str(port), **environment}
    with _running((*_GUNICORN, *arguments), settings, name, base, lambda: _answers(base + path)) as server:
        yield server


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], name: str, base: str, ready: Callable[[], bool]
) -> Iterator[Server]:
    """Runs it in a session of its own, so that Ctrl-C reaches only us, and ends it with all its children."""
    settings = {"PATH": os.environ["PATH"], "WORKERS": str(WORKERS), "LOG_LEVEL": "warning"} | dict(environment)
    process = psutil.Popen(command, cwd=ROOT, env=settings, start_new_session=True)
    try:
        until(lambda: _check_alive(process, name) and ready(), 30)
        yield Server(name, base, (psutil.Process(process.pid),))
    finally:
        _end(process)


def _end(process: psutil.Popen) -> None:
    if not process.is_running():
        return
    everybody = [process, *process.children(recursive=True)]
    process.terminate()
    _, left = psutil.wait_procs(everybody, timeout=10)
    for each in left:
        each.kill()
    process.wait()


def _check_alive(process: psutil.Popen, name: str) -> bool:
    assert process.poll() is None, f"{name} has ended with {process.returncode}"
    return True


def _answers(url: str) -> bool:
    return requests.get(url, timeout=5).status_code == 200


def _listens(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True
