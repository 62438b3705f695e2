"""nginx as deploy/nginx.conf configures it, its paths and its port replaced, for tests and benchmarks."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serving import free_port, until

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx.conf"
BINARY = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin")

# For a load that comes from one address with one credential.
UNLIMITED = {
    "rate=500r/s": "rate=1000000r/s",
    "rate=1000r/s": "rate=1000000r/s",
    "burst=1000 ": "burst=1000000 ",
    "burst=2000 ": "burst=1000000 ",
    "limit_conn open_by_address 500;": "limit_conn open_by_address 65535;",
    "limit_conn open_by_credential 1000;": "limit_conn open_by_credential 65535;",
}


def needed() -> None:
    """Skips the test where nginx is not installed; in CI it must be."""
    if BINARY is None and not os.environ.get("CI"):
        pytest.skip("nginx is not installed")


@contextmanager
def nginx(directory: Path, upstream: Path, replacements: Mapping[str, str] | None = None) -> Iterator[str]:
    """Runs it on a free port in front of the server on the Unix socket ``upstream``, and gives its URL.

    Everything it writes is in ``directory``: access.log, error.log, cache/ and what it prints. ``replacements`` are of
    pieces of the configuration; each must be in there exactly once.
    """
    assert BINARY is not None, "nginx is not installed"
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(_configuration(_paths(directory, upstream, port), replacements or {}))
    printed = directory / "printed"
    with printed.open("a") as stderr:
        process = subprocess.Popen([BINARY, "-c", configuration, "-g", "daemon off;"], stderr=stderr)
    try:
        until(lambda: process.poll() is not None or _accepts(port), 10)
        assert process.poll() is None, printed.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _configuration(*replacements: Mapping[str, str]) -> str:
    text = CONFIGURATION.read_text()
    for piece, by in (item for mapping in replacements for item in mapping.items()):
        assert text.count(piece) == 1, f"{piece!r} is in deploy/nginx.conf {text.count(piece)} times"
        text = text.replace(piece, by)
    return text


def _paths(directory: Path, upstream: Path, port: int) -> dict[str, str]:
    # Those that are built in are not for everybody to write; and pytest's directories are for nobody else to read.
    temporary = "".join(
        f"    {module}_temp_path {directory}/{module};\n"
        for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return {
        "user www-data;\n": "user root;\n" if os.geteuid() == 0 else "",
        "pid /run/nginx.pid;": f"pid {directory}/pid;",
        "worker_rlimit_nofile 65536;\n": "" if os.geteuid() else "worker_rlimit_nofile 65536;\n",
        "error_log /var/log/nginx/error.log warn;": f"error_log {directory}/error.log warn;",
        "error_log /var/log/nginx/error.log alert;": f"error_log {directory}/error.log alert;",
        "access_log /var/log/nginx/access.log": f"access_log {directory}/access.log",
        "proxy_cache_path /run/tidemark-cache": f"proxy_cache_path {directory}/cache",
        "unix:/run/tidemark/gunicorn.sock": f"unix:{upstream}",
        "        listen 80 default_server;": f"        listen 127.0.0.1:{port} default_server;",
        "http {\n": f"http {{\n{temporary}",
    }


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
