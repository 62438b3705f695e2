"""A client of the recorded connector: asks for tokens and checks them, and looks at what is recorded."""

import time
from dataclasses import dataclass, field

import sqlalchemy as sa

from app.domain.connector import Connector
from app.domain.names import Address, tenant_id
from app.domain.token import TokenStatus
from app.services.issue import Issuer, IssueRequest
from app.store import reports
from app.store.engine import run
from tests.services.reporting import check_token, only


@dataclass(frozen=True)
class Client:
    """Of the connector ``billing`` on ``orders`` in the pipeline ``demo``."""

    engine: sa.Engine
    tenant: str = "default"
    issuer: Issuer = field(default_factory=Issuer)

    @property
    def address(self) -> Address:
        return Address(tenant_id(self.tenant), "demo", "orders", "billing")

    def issue(self) -> str:
        return str(only(run(self.engine, lambda c: self.issuer.issue(c, [IssueRequest(self.address, "test")]))))

    def is_complete(self, token: str) -> bool:
        return check_token(self.engine, self.address, token).status is TokenStatus.COMPLETE

    def wait(self, token: str, seconds: float = 20.0, every: float = 0.005) -> float:
        """Polls until the token is complete; answers how many seconds that took."""
        started = time.monotonic()
        while not self.is_complete(token):
            assert time.monotonic() < started + seconds, f"{token} is not complete after {seconds} s"
            time.sleep(every)
        return time.monotonic() - started

    def recorded(self) -> Connector:
        """What is recorded of the connector now."""
        (loaded,) = run(self.engine, lambda c: reports.load(c, [(self.address, None)]))
        return loaded.connector

    def wait_for_version(self, version: int, seconds: float = 20.0) -> Connector:
        """Waits until so many reports are recorded."""
        deadline = time.monotonic() + seconds
        while (connector := self.recorded()).version < version:
            assert time.monotonic() < deadline, f"only version {connector.version} after {seconds} s"
            time.sleep(0.01)
        return connector
