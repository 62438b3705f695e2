"""The server with a defect planted in it: ``python -m tests.robustness.defective_server DEFECT``, from the root.

For the negative controls of the crash history. It runs what `tidemark serve` does, gunicorn with the same settings; the
defect is planted in the master, from which the workers inherit it.
"""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

_LATE_SECONDS = 0.05
_SETTINGS = "deploy/gunicorn.conf.py"


def late_commit() -> None:
    """The answer leaves before COMMIT, which follows a moment later."""
    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

    from app.domain.errors import ServiceUnavailable
    from app.store import engine

    def commit(connection: Connection) -> None:
        time.sleep(_LATE_SECONDS)
        with suppress(DBAPIError), connection:
            connection.commit()

    def late(pool: Engine, work: Callable[[Connection], Any]) -> Any:
        with engine._turn(pool), engine.translated():
            connection = pool.connect()
            try:
                result = work(connection)
            except engine.Repeat:
                connection.close()
                raise ServiceUnavailable from None
            except BaseException:
                connection.close()
                raise
            threading.Thread(target=commit, args=(connection,)).start()
            return result

    for name in ("run", "transact"):
        setattr(engine, name, late)


def token_in_memory() -> None:
    """A token is kept by the worker that issued it, and nowhere else."""
    import pytest

    from tests.robustness.misbehaviour import keeps_tokens_in_memory

    keeps_tokens_in_memory(pytest.MonkeyPatch())


def stale_binding() -> None:
    """A token waits for the version that it saw, which may have been measured long before."""
    from app.domain import token

    token.SAMPLED_AHEAD = 0


def events_as_seen() -> None:
    """A transition is told of as soon as it can be seen, whatever may still come to stand before it."""
    import pytest
    from sqlalchemy import TextClause, text

    from app.store import events
    from app.store.engine import statement

    def hasty(name: str) -> TextClause:
        return text(statement(name).text.replace("pg_snapshot_xmin", "pg_snapshot_xmax"))

    pytest.MonkeyPatch().setattr(events, "statement", hasty)


def deaf_waiters() -> None:
    """Those who wait are not told of anything, and nobody looks after them."""
    from app.services.waiters import Waiters

    Waiters._start = lambda waiters: None  # type: ignore[assignment, method-assign]


DEFECTS = {
    "late-commit": late_commit,
    "token-in-memory": token_in_memory,
    "stale-binding": stale_binding,
    "events-as-seen": events_as_seen,
    "deaf-waiters": deaf_waiters,
}


def main() -> None:
    """Plants the defect that the command line names, and serves."""
    import_module("gevent.monkey").patch_all()  # as the settings do: before anything is imported that waits
    DEFECTS[sys.argv[1]]()
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "--config", _SETTINGS]
    run()


if __name__ == "__main__":
    main()
