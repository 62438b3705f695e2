"""What a schedule is played with, and all that is recorded of it afterwards."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app.domain.errors import TidemarkError
from app.domain.names import Address, tenant_id
from app.domain.token import TokenId
from app.store.engine import run
from tests.services.reporting import check_token

TENANT = tenant_id("default")
RETENTION = timedelta(days=30)


_ROWS = """
SELECT 'connector', id, to_jsonb(c) - CAST('{id,connector_name,created_at,removed_at,recorded_at,observed_at,
           pipeline_id,frontier}' AS text[]) || jsonb_build_object('removed', removed_at IS NOT NULL, 'frontier', (
           SELECT jsonb_agg(f - 1) FROM jsonb_array_elements(frontier) AS f))
  FROM connector AS c WHERE id = ANY(:ids)
UNION ALL SELECT 'epoch', connector_id, to_jsonb(e) - CAST('{connector_id,started_at,ended_at}' AS text[])
           || jsonb_build_object('ended', ended_at IS NOT NULL)
  FROM connector_epoch AS e WHERE connector_id = ANY(:ids)
UNION ALL SELECT 'event', connector_id, to_jsonb(e) - CAST('{connector_id,at,xid}' AS text[])
  FROM connector_event AS e WHERE connector_id = ANY(:ids)
UNION ALL SELECT 'error', connector_id, to_jsonb(e) - 'connector_id'
  FROM connector_error AS e WHERE connector_id = ANY(:ids)
UNION ALL SELECT 'observation', connector_id, to_jsonb(o) - CAST('{connector_id,recorded_at,lag_seconds}' AS text[])
  FROM observation AS o WHERE connector_id = ANY(:ids)
UNION ALL SELECT 'token', connector_id, to_jsonb(t) - CAST('{connector_id,id,issued_at}' AS text[])
  FROM completion_token AS t WHERE connector_id = ANY(:ids)
"""


@dataclass
class Scene:
    """What one schedule is played with: connectors of its own, and perhaps a token of the first."""

    engine: sa.Engine
    pipeline: str
    number: int
    token: TokenId | None = None

    def address(self, name: str = "a") -> Address:
        return Address(TENANT, self.pipeline, "orders", f"s{self.number}.{name}")

    def check(self, retention: timedelta = RETENTION) -> Any:
        return check_token(self.engine, self.address(), self.token, retention)

    def status(self) -> str:
        """Of the token: its status, or the code of what it is answered with."""
        try:
            return str(self.check().status.value)
        except TidemarkError as error:
            return error.code

    def rows(self) -> list[tuple[str, str, str]]:
        """All that is recorded, but for times and random ids."""
        names = {self.address(name).id: name for name in "abc"}
        # Not in a transaction: psycopg forgets at a ROLLBACK whatever the connection had prepared.
        found = run(self.engine, lambda c: c.execute(sa.text(_ROWS), {"ids": list(names)}).all())
        return sorted((kind, names[id], json.dumps(row, sort_keys=True)) for kind, id, row in found)
