"""The service under test: the real code on a real database, as app/api calls it, and a process that can die."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

from sqlalchemy import Connection

from app.domain.errors import TidemarkError, UnknownInputEndpoint, UnknownPipelineName
from app.domain.names import Address
from app.domain.waiting import Until
from app.services import issue, report
from app.services.check import Asked, Checked
from app.services.issue import IssueRequest
from app.services.report import Addressed, Outcome
from app.store import engine, status
from app.store.status import StatsQuery
from tests.robustness.ledger import Answer
from tests.robustness.sleepers import Happening, Sleepers
from tests.services.reporting import KEEP_EVERY, only
from tests.tenants import add_tenant

PIPELINE = "demo"

T = TypeVar("T")


class Died(Exception):
    """The process is gone."""


class Service:
    """One process of the service, with a new tenant. Functions are looked up at each call, so that defects show."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._start()
        self.tenant: UUID = engine.transact(self._engine, lambda c: add_tenant(c, uuid4().hex))

    def _start(self) -> None:
        self._engine = engine.make_engine(self._url, pool_size=3)
        self._issuer = issue.Issuer()
        self.sleepers = Sleepers(self._engine, self._url)

    def stop(self) -> None:
        """Those who wait are answered as things stand."""
        self.sleepers.close()
        self._engine.dispose()

    def restart(self) -> None:
        """All that was in memory only is gone."""
        self.stop()
        self._start()

    def record(
        self, items: Sequence[Addressed], *, loaded: Happening | None = None, written: Happening | None = None
    ) -> list[Outcome]:
        """``loaded`` happens when the connectors have been read, ``written`` before the commit; each once."""
        pauses = _Pauses(loaded, written)

        def work(connection: Connection) -> list[Outcome]:
            outcomes = report.record(pauses.after_load(connection), items, keep_every=KEEP_EVERY)
            pauses.before_commit()
            return outcomes

        return engine.transact(self._engine, work)

    def remove(self, address: Address, *, loaded: Happening | None = None) -> None:
        pauses = _Pauses(loaded, None)
        engine.transact(self._engine, lambda c: report.remove_connector(pauses.after_load(c), address))

    def version(self, address: Address) -> int:
        """The version that a reporter learns by reading; 0 for a connector that nobody can see."""
        (row,) = engine.run(self._engine, lambda c: status.read_stats(c, [StatsQuery(address)]))
        if isinstance(row, UnknownPipelineName | UnknownInputEndpoint):
            return 0
        return int(only([row]).version)

    def issue(self, address: Address) -> str:
        request = IssueRequest(address, "model")
        return str(only(engine.run(self._engine, lambda c: self._issuer.issue(c, [request]))))

    def check(self, tokens: Sequence[str]) -> list[Answer]:
        """Checks them all in one batch."""
        return _answers(self.sleepers.look(self._asked(tokens)))

    def wait(
        self,
        tokens: Sequence[str],
        until: Until,
        looked: Happening | None,
        answered: Callable[[list[Answer], bool], T],
    ) -> "Future[T]":
        """Begins a wait in a thread of its own: see `Sleepers.wait`."""
        asked = self._asked(tokens)
        return self.sleepers.wait(asked, until, looked, lambda found, ended: answered(_answers(found), ended))

    def _asked(self, tokens: Sequence[str]) -> list[Asked]:
        return [Asked(self.tenant, PIPELINE, token) for token in tokens]


def _answers(found: Sequence[Checked | TidemarkError]) -> list[Answer]:
    return [each if isinstance(each, TidemarkError) else each.status for each in found]


class _Pauses:
    """Lets something happen in the middle of a transaction, the first time it is carried out."""

    def __init__(self, loaded: Happening | None, written: Happening | None) -> None:
        self._loaded, self._written = loaded, written

    def after_load(self, connection: Connection) -> Connection:
        return cast("Connection", _Watched(connection, self._happen_loaded))

    def before_commit(self) -> None:
        happening, self._written = self._written, None
        if happening:
            happening()

    def _happen_loaded(self) -> None:
        happening, self._loaded = self._loaded, None
        if happening:
            happening()


class _Watched:
    """A connection that tells of each statement executed, the first of which reads what the others rest on."""

    def __init__(self, connection: Connection, executed: Happening) -> None:
        self._connection, self._executed = connection, executed

    def execute(self, *arguments: Any) -> Any:
        result = self._connection.execute(*arguments)
        self._executed()
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
