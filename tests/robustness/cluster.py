"""A Postgres server of its own, for tests that stop it, kill it and take its backends away."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import sqlalchemy as sa

from app.embedded import embedded_postgres, pg_ctl
from app.store import schema
from app.store.partitions import ensure_partitions
from tests.serving import free_port

_START_TRIES = 60
_PROGRAM = "postgres"
_NOTHING = "''"


class Cluster:
    """The embedded Postgres' programs on a cluster in ``data``, listening on a TCP port of 127.0.0.1."""

    def __init__(self, data: Path, port: int, **settings: str) -> None:
        """``settings`` are Postgres' (postgresql.conf), such as ``synchronous_commit="off"``."""
        self._data = data
        self._log = data / "log"
        self.port = port
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        self._settings = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""} | settings

    def start(self, **settings: str) -> None:
        """Starts the server and waits until it answers; ``settings`` are for this time only.

        Tried again while the children of a killed one still live.
        """
        options = " ".join(f"-c {name}={value or _NOTHING}" for name, value in (self._settings | settings).items())
        for attempt in range(_START_TRIES):
            if not self.processes():  # or it would take whoever has the dead one's PID now for a server
                (self._data / "cluster" / "postmaster.pid").unlink(missing_ok=True)
            started = pg_ctl(self._data, "-l", str(self._log), "-t", "60", "-w", "-o", options, "start")
            if started.returncode == 0:
                return
            if attempt == _START_TRIES - 1:
                raise AssertionError(f"{started.stdout}{started.stderr}{self._log.read_text()[-3000:]}")
            time.sleep(0.1)

    def become_standby(self) -> None:
        """Lets the stopped server start as one that only replays what another one writes, until told to promote."""
        (self._data / "cluster" / "standby.signal").touch()

    def stop(self, mode: str = "fast") -> None:
        """Stops the server: ``fast`` as an operator would, ``immediate`` as a crash, from which it has to recover."""
        pg_ctl(self._data, "-m", mode, "-w", "-t", "60", "stop")

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children end when they notice."""
        with suppress(psutil.NoSuchProcess, IndexError):
            self.processes()[0].kill()

    def kill_backend(self, process: psutil.Process) -> None:
        """SIGKILL to one backend: the postmaster then ends them all and recovers, as after a crash."""
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)

    def terminate_backends(self) -> int:
        """Ends all sessions but its own, as an operator's pg_terminate_backend, and answers how many."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            return len(
                connection.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                    )
                ).all()
            )

    def suspend(self) -> None:
        """Turns it into a black hole: the kernel goes on accepting connections and data, and nobody ever answers."""
        for _ in range(2):  # for what the postmaster was just starting
            for process in self.processes():
                with suppress(psutil.NoSuchProcess):
                    process.suspend()

    def resume(self) -> None:
        """Lets a suspended server go on."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def processes(self) -> list[psutil.Process]:
        """The postmaster, if it lives, and after it every other process of this cluster."""
        mine = str(self._data / "cluster")
        found = [p for p in psutil.process_iter(["name", "cmdline", "ppid"]) if p.info["name"] == _PROGRAM]
        masters = [p for p in found if mine in (p.info["cmdline"] or [])]
        pids = {p.pid for p in masters}
        return masters + [p for p in found if p.info["ppid"] in pids]

    def backends(self) -> list[psutil.Process]:
        """The processes that serve a client."""
        return [p for p in self.processes()[1:] if "127.0.0.1" in " ".join(p.info["cmdline"] or [])]


@contextmanager
def cluster(data: Path, **settings: str) -> Iterator[Cluster]:
    """A running server at the newest schema, with partitions; gone when the block is left."""
    with embedded_postgres(data):
        pass  # makes the cluster
    made = Cluster(data, free_port(), **settings)
    made.start()
    try:
        schema.upgrade(made.url)
        ensure_partitions(made.url)
        yield made
    finally:
        made.resume()
        made.stop("immediate")
        for process in made.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
