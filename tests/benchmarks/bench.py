"""What the comparisons share: the database with its data, the servers that run so far, and what was measured."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import requests
import sqlalchemy as sa

from tests.benchmarks import data, servers, waiting
from tests.benchmarks.equality import check_stats, check_status, check_tokens, status_path
from tests.benchmarks.load import Mix, mix
from tests.benchmarks.measure import Measured, Settings, in_turn
from tests.benchmarks.servers import Server
from tests.benchmarks.sleepers import allow_many_connections
from tests.benchmarks.table import Comparison

_PROBE = f"{data.connector_path(0, 0)}/stats"


class Bench:
    """Starts a server when it is first asked for, and ends them all."""

    def __init__(self, directory: Path, url: str, settings: Settings, progress: Callable[[str], None]) -> None:
        self.directory = directory
        self.url = url
        self.settings = settings
        self.progress = progress
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.postgres = psutil.Process(_postmaster(directory / "postgres"))
        self.found: list[Comparison] = []
        self.measured: dict[str, Any] = {}
        self.runs = self.disturbed = 0
        self._stack = ExitStack()
        self._servers: dict[str, Server] = {}
        self._mixes: dict[str, Mix] = {}
        self._tokens: list[str] = []

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)
        self.engine.dispose()

    def fill(self) -> None:
        """Makes the connectors through the server, and the answer that the constant ones give."""
        data.fill(self.ours.base)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Not what is partitioned: a worker that has just started is making partitions, and they would deadlock.
            connection.execute(sa.text("VACUUM ANALYZE pipeline, connector, connector_epoch, connector_error"))
        answer = requests.get(self.ours.base + data.connector_path(0, 1) + "/stats", timeout=10)
        self.answer = answer.content
        (self.directory / "answer").write_bytes(self.answer)

    def end_servers(self) -> None:
        """Ends those that run; what is asked for later is started anew."""
        self._stack.close()
        self._servers.clear()
        self._mixes.clear()

    @property
    def ours(self) -> Server:
        return self._server("ours", lambda: servers.ours(self.url))

    @property
    def ours_with_keys(self) -> Server:
        """The same that wants a key, and the key."""
        return self._server("keys", lambda: servers.ours(self.url, AUTH_PROVIDER="api-key"), self._key)

    @property
    def ours_with_many_places(self) -> Server:
        """The same with room for all sleepers, however they are spread over its processes."""
        places = min(allow_many_connections() - 500, 2 * waiting.SLEEPERS)
        settings = {"WORKER_CONNECTIONS": str(places), "MAX_WAITS": str(places - 500)}
        return self._server("many", lambda: servers.ours(self.url, **settings))

    @property
    def ours_behind_nginx(self) -> Server:
        return self._server("nginx", lambda: servers.ours_behind_nginx(self.url, self.directory))

    @property
    def fastapi(self) -> Server:
        return self._server("fastapi", lambda: servers.fastapi(self.url, _PROBE))

    @property
    def smorest(self) -> Server:
        return self._server("smorest", lambda: servers.smorest(self.url, _PROBE))

    @property
    def constant(self) -> Server:
        return self._server("constant", lambda: servers.constant(self.url, _PROBE, self.directory / "answer"))

    @property
    def nginx_return(self) -> Server:
        return self._server("return", lambda: servers.nginx_return(self.directory, self.answer))

    @property
    def all_stats(self) -> Mix:
        return self._mix("stats", lambda: [f"{path}/stats" for path in data.all_paths()])

    @property
    def some_stats(self) -> Mix:
        """Those of a thousand connectors."""
        return self._mix("some", lambda: [f"{path}/stats" for path in data.some_paths(1000)])

    @property
    def hot_stats(self) -> Mix:
        """Those of a hundred connectors."""
        return self._mix("hot", lambda: [f"{path}/stats" for path in data.some_paths(100)])

    @property
    def all_issues(self) -> Mix:
        return self._mix("issue", lambda: [f"{path}/completion_token" for path in data.all_paths()])

    @property
    def checks(self) -> Mix:
        """Of a thousand tokens, half of which are complete."""
        return self._mix("check", lambda: self.tokens)

    @property
    def tokens(self) -> list[str]:
        """The paths of tokens' statuses. Those of the first pipeline are complete; it reports until they are."""
        if not self._tokens:
            paths = [data.connector_path(number, c) for number in range(2) for c in range(0, data.CONNECTORS, 2)]
            with requests.Session() as session:
                for path in paths:
                    token = session.get(f"{self.ours.base}{path}/completion_token", timeout=10).json()["token"]
                    self._tokens.append(status_path(path, token))
            self._report_until_complete()
        return self._tokens

    def check_same(self, alternatives: Sequence[Server]) -> None:
        """Their stats are the same, and they take each other's tokens."""
        check_stats(alternatives, data.some_paths(40))
        check_tokens(alternatives, alternatives, data.some_paths(10))
        for path in self.tokens[::100]:
            check_status(alternatives, path)

    def in_turn(
        self, name: str, alternatives: Sequence[Server], requests: Mix, before: Callable[[], None] = lambda: None
    ) -> dict[str, Measured]:
        """Measures them, and keeps what was measured under that name."""
        measured = in_turn(alternatives, requests, self.settings, self.postgres, before)
        self.measured[name] = {server: each.to_json() for server, each in measured.items()}
        self.runs += sum(len(each.runs) for each in measured.values())
        self.disturbed += sum(each.disturbed for each in measured.values())
        return measured

    def renew(self) -> None:
        """A new version of everything."""
        with self.engine.begin() as connection:
            data.renew(connection)

    def _report_until_complete(self) -> None:
        answer = requests.get(self.ours.base + data.connector_path(0, 0) + "/stats", timeout=10)
        version = int(answer.json()["recorded"]["version"])
        for ahead in range(3):  # a token waits for two reports more, and the second one's input for one more
            data.send_reports(self.ours.base, 0, version + ahead)

    def _server(
        self,
        name: str,
        start: Callable[[], AbstractContextManager[Server]],
        finish: Callable[[Server], Server] = lambda server: server,
    ) -> Server:
        if name not in self._servers:
            self._servers[name] = finish(self._stack.enter_context(start()))
        return self._servers[name]

    def _mix(self, name: str, paths: Callable[[], list[str]]) -> Mix:
        if name not in self._mixes:
            self._mixes[name] = self._stack.enter_context(mix(paths()))
        return self._mixes[name]

    def _key(self, server: Server) -> Server:
        answer = requests.post(f"{self.ours.base}/v0/api_keys", json={"name": "bench", "role": "write"}, timeout=10)
        return Server("ours, API keys on", server.base, server.roots, f"Bearer {answer.json()['api_key']}")


def _postmaster(data_directory: Path) -> int:
    return int((data_directory / "cluster" / "postmaster.pid").read_text().splitlines()[0])
