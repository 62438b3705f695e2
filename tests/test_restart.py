"""Everything is restarted with tokens in progress: the real server, its workers, its Postgres."""

import os
import signal
from pathlib import Path

import pytest

from tests.serving import serving, until


def postmaster(data: Path) -> int | None:
    pid_file = data / "postgres" / "cluster" / "postmaster.pid"
    return int(pid_file.read_text().splitlines()[0]) if pid_file.exists() else None


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "var"


def test_tokens_outlive_a_restart_of_everything(data: Path) -> None:
    with serving(data) as server:
        server.report(0, received=10, completed=5)
        tokens = [server.token()]
        assert server.check(tokens[0]) == 202
    assert postmaster(data) is None, "the server leaves its Postgres behind"

    with serving(data) as server:
        assert [server.check(token) for token in tokens] == [202]
        server.report(1, received=10, completed=5)
        tokens.append(server.token())
        killed_workers = server.workers()
        assert len(killed_workers) == 2
        for worker in killed_workers:
            worker.kill()
        until(lambda: [server.check(token) for token in tokens] == [202, 202])

        killed = postmaster(data)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        answer = server.get("/readyz")
        assert answer.status_code == 503
        assert server.get("/healthz").status_code == 200
        server.kill()

    with serving(data) as server:
        assert [server.check(token) for token in tokens] == [202, 202]
        server.report(2, received=12, completed=10)
        assert [server.check(token) for token in tokens] == [202, 202]
        server.report(3, received=12, completed=12)
        assert [server.check(token) for token in tokens] == [200, 200]
        late = server.token()

    with serving(data) as server:
        assert [server.check(token) for token in [*tokens, late]] == [200, 200, 202]
