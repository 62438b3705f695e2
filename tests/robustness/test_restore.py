"""The drill of docs/operations.md, as it stands there: a base backup, the WAL's archive, and back to a point in time.

Under load. What was acknowledged before that point has to be there, and what was begun after it must not be.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from app.embedded import bin_directory
from tests.pages import blocks
from tests.robustness.cluster import Cluster, cluster
from tests.serving import TIDEMARK, Server, free_port, until

TIMES = re.compile(r"(?<=recovery_target_time = ')[^']*")
REPORTERS = 2


@dataclass(frozen=True)
class Act:
    """Something that was acknowledged: a token, or a connector's report."""

    begun: float
    acknowledged: float
    connector: str
    token: str | None
    version: int | None


@dataclass
class Load:
    """Clients that report to connectors of their own, and ask for tokens, until they are told to stop."""

    base: str
    acts: list[Act] = field(default_factory=list)
    enough: Event = field(default_factory=Event)

    def path(self, connector: str) -> str:
        return f"{self.base}/v0/pipelines/demo/tables/orders/connectors/{connector}"

    def report(self, connector: str, version: int, received: int, completed: int) -> requests.Response:
        body = {"position": {"received": received, "completed": completed}}
        headers = {"If-Match": f'"{version}"'}
        return requests.put(f"{self.path(connector)}/stats", json=body, headers=headers, timeout=30)

    def act(self, connector: str, version: int) -> None:
        begun = time.monotonic()
        answer = self.report(connector, version, version, version)
        assert answer.ok, answer.text
        self.acts.append(Act(begun, time.monotonic(), connector, None, version + 1))
        begun = time.monotonic()
        token = requests.get(f"{self.path(connector)}/completion_token", timeout=30).json()["token"]
        self.acts.append(Act(begun, time.monotonic(), connector, token, None))

    def go_on(self, connector: str) -> None:
        version = 0
        while not self.enough.is_set():
            self.act(connector, version)
            version += 1

    @contextmanager
    def going_on(self) -> Iterator[None]:
        threads = [Thread(target=self.go_on, args=(f"c{number}",)) for number in range(REPORTERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.enough.set()
            for thread in threads:
                thread.join()


class Machine:
    """The machine of the page: its directories are below the primary's, and belong to the same user."""

    def __init__(self, primary: Path) -> None:
        self._owner = primary.stat()
        self.backups, self.restored = primary / "backups", primary / "restored" / "cluster"
        self.run(f"mkdir -p {self.backups}/wal {self.restored.parent}")

    def here(self, text: str) -> str:
        text = text.replace("/var/backups/tidemark", str(self.backups))
        return text.replace("/var/lib/postgresql/restored", str(self.restored))

    def run(self, script: str, **environment: str) -> None:
        """Runs the page's commands as the user to whom the cluster belongs."""
        path = f"{bin_directory()}:{Path(TIDEMARK).parent}:/usr/bin:/bin"
        who: dict[str, Any] = {"user": self._owner.st_uid, "group": self._owner.st_gid} if os.getuid() == 0 else {}
        ran = subprocess.run(
            ["bash", "-euc", self.here(script)],
            env={"PATH": path} | environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **who,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def one(database: Cluster, sql: str) -> Any:
    engine = sa.create_engine(database.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        return connection.scalars(sa.text(sql)).one()


@contextmanager
def server_on(database: Cluster) -> Iterator[Server]:
    server = Server({"DATABASE_URL": database.url, "HISTORY_INTERVAL": "0", "WORKERS": "1"})
    try:
        yield server
    finally:
        server.stop()


def archived(primary: Cluster) -> None:
    """Waits until all WAL so far is in the archive."""
    last = one(primary, "SELECT pg_walfile_name(pg_switch_wal())")
    until(lambda: one(primary, "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") >= last)


def enough(load: Load, more: int) -> None:
    wanted = len(load.acts) + more
    until(lambda: len(load.acts) >= wanted)


@pytest.mark.timeout(300)
def test_a_point_in_time_is_restored_with_all_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    # pg_verifybackup is not among what is run: that of the wheel crashes.
    base_backup, _, restore, tell = blocks("operations", "sh")
    (settings,) = blocks("operations", "ini")
    with cluster(tmp_path / "postgres") as primary:
        machine = Machine(tmp_path / "postgres")
        primary.stop()
        machine.run(f"cat >> {tmp_path}/postgres/cluster/postgresql.conf << 'END'\n{settings}END\n")
        primary.start()
        with server_on(primary) as server:
            load = Load(server.base)
            with load.going_on():
                enough(load, 20)
                machine.run(base_backup, PGHOST="127.0.0.1", PGPORT=str(primary.port), PGUSER="postgres")
                enough(load, 20)
                asked = time.monotonic()
                point = one(primary, "SELECT clock_timestamp()")
                answered = time.monotonic()
                enough(load, 20)
            archived(primary)
        primary.stop("immediate")

        machine.run(TIMES.sub(point.isoformat(), restore))
        restored = Cluster(machine.restored.parent, free_port())
        restored.start()
        try:
            until(lambda: not one(restored, "SELECT pg_is_in_recovery()"))
            judge_rows(load, restored, asked, answered)
            command = tell.replace("tidemark", TIDEMARK)
            subprocess.run(
                ["bash", "-euc", command], env={"PATH": "/usr/bin:/bin", "DATABASE_URL": restored.url}, check=True
            )
            with server_on(restored) as server:
                judge_answers(load, server, asked, answered)
        finally:
            restored.stop("immediate")


def judge_rows(load: Load, restored: Cluster, asked: float, answered: float) -> None:
    """Every report acknowledged before that point is there with its observation, and none that was begun after it."""
    kept = one(
        restored,
        "SELECT jsonb_object_agg(x.name, x.versions)"
        "  FROM (SELECT c.connector_name AS name, jsonb_agg(o.version) AS versions"
        "          FROM connector AS c JOIN observation AS o ON o.connector_id = c.id"
        "         GROUP BY 1) AS x",
    )
    reports = [act for act in load.acts if act.version is not None]
    before = [act for act in reports if act.acknowledged < asked]
    after = [act for act in reports if act.begun > answered]
    assert min(len(before), len(after)) >= 5
    assert all(act.version in kept[act.connector] for act in before)
    assert not any(act.version in kept[act.connector] for act in after)


def judge_answers(load: Load, server: Server, asked: float, answered: float) -> None:
    """What becomes of tokens, and of a reporter that goes on from the version it last heard of."""
    tokens = [act for act in load.acts if act.token is not None]
    before = [act for act in tokens if act.acknowledged < asked]
    after = [act for act in tokens if act.begun > answered]
    assert min(len(before), len(after)) >= 5
    assert {status(server, act) for act in before} <= {200, 202}
    assert {status(server, act) for act in after} == {404}
    load.base = server.base
    for number in range(REPORTERS):
        connector = f"c{number}"
        newest = max(act.version or 0 for act in load.acts if act.connector == connector)
        stale = load.report(connector, newest, newest, newest)
        assert stale.status_code == 412, "the version it has learned is of the history that is lost"
        version = stale.json()["details"]["current_version"]
        for following in range(2):
            assert load.report(connector, version + following, newest + 1, newest + 1).ok
    assert {status(server, act) for act in before} == {200}
    assert {status(server, act) for act in after} == {404}


def status(server: Server, act: Act) -> int:
    return server.check(act.token or "")
