"""When a token completed, found by halving its connector's history: held against reading all of it, and its cost."""

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from app.domain.names import Address
from app.domain.token import TokenId
from app.store import tokens
from app.store.engine import make_engine, run, statement
from app.store.models import CompletionToken, Connector, ConnectorEpoch, Observation
from tests.services.reporting import issue, report
from tests.store.packed import keep_packed, pack_rows
from tests.tenants import add_tenant

START = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
GAPS = [timedelta(microseconds=1), timedelta(milliseconds=1), timedelta(seconds=10), timedelta(days=1)]

Row = tuple[datetime, int, int]  # of an observation: its time, epoch and completed version

_UNUSED = {
    **dict.fromkeys(("total_bytes", "total_records", "buffered_records", "buffered_bytes"), 0),
    **dict.fromkeys(("num_transport_errors", "num_parse_errors"), 0),
    **dict.fromkeys(("end_of_input", "paused", "barrier"), False),
}


@pytest.fixture(scope="module")
def engine(module_clone: str) -> Iterator[sa.Engine]:
    """An engine on a database of this module's."""
    engine = make_engine(module_clone)
    with engine.begin() as connection:
        keep_packed(connection)
    yield engine
    engine.dispose()


@pytest.fixture
def address(engine: sa.Engine) -> Address:
    with engine.begin() as connection:
        return Address(add_tenant(connection, uuid.uuid4().hex), "demo", "orders", "billing")


@pytest.fixture
def token(engine: sa.Engine, address: Address) -> TokenId:
    """A token of a connector at version 1, which waits for version 3."""
    report(engine, address, 0, received=1, completed=0)
    return issue(engine, address)


def write(engine: sa.Engine, connector: UUID, history: list[Row], until: datetime, *, ended: bool) -> None:
    """Makes it the connector's history; the token's epoch is complete by its end, or by the newest report."""
    rows = [
        {
            "connector_id": connector,
            "recorded_at": at,
            "version": version,
            "epoch_number": epoch,
            "completed_version": done,
        }
        for version, (at, epoch, done) in enumerate(history, 1)
    ]
    epoch_end = {"ended_at": until, "completed_version": 9} if ended else {"ended_at": None, "completed_version": None}
    with engine.begin() as connection:
        connection.execute(sa.delete(Observation).where(Observation.connector_id == connector))
        if rows:
            connection.execute(sa.insert(Observation), [row | _UNUSED for row in rows])
        issued = sa.update(CompletionToken).where(CompletionToken.connector_id == connector)
        connection.execute(issued.values(issued_at=START))
        epoch = sa.update(ConnectorEpoch).where(ConnectorEpoch.connector_id == connector)
        connection.execute(epoch.values(started_at=START, **epoch_end))
        row = sa.update(Connector).where(Connector.id == connector)
        reported = until + timedelta(hours=1) if ended else until
        connection.execute(row.values(version=9, completed_version=9, recorded_at=reported))


def some_history(rng: random.Random) -> list[Row]:
    """Observations of the token's epoch, of which the first ones may have been dropped; then of the next epoch."""
    at, done, history = START, 0, []
    for _ in range(rng.randint(0, 40)):
        history.append((at, 1, min(done, 9)))
        at += rng.choice(GAPS) * rng.randint(1, 3)
        done += rng.choice((0, 0, 0, 1, 1, 5))
    dropped = rng.randint(0, len(history)) if rng.random() < 0.3 else 0
    return [*history[dropped:], (at, 2, 9)]


@pytest.mark.parametrize("packed", [False, True], ids=["rows", "packed"])
@pytest.mark.parametrize("seed", range(150))
def test_halving_finds_what_reading_everything_does(engine: sa.Engine, token: TokenId, seed: int, packed: bool) -> None:
    rng = random.Random(seed)
    history = some_history(rng)
    until = history[-1][0]
    write(engine, token.connector_id, history, until, ended=rng.random() < 0.5)
    if packed:
        with engine.begin() as connection:
            pack_rows(connection, token.connector_id, rng.choice(history)[0].date() + timedelta(days=rng.randint(0, 1)))
    _, known = run(engine, lambda connection: tokens.describe(connection, token, None))
    assert known is not None
    incomplete = [at for at, epoch, done in history if epoch == 1 and done < 3]
    complete = [at for at, epoch, done in history if epoch == 1 and done >= 3]
    assert known.last_incomplete == max(incomplete, default=None)
    assert known.first_complete == min(complete, default=until)
    assert completed_by(engine, token) == known.first_complete, "analysts are told the same"


def completed_by(engine: sa.Engine, token: TokenId) -> Any:
    told = "SELECT completed_by FROM reporting.token WHERE connector_id = :connector AND token_id = :token"
    with engine.connect() as connection:
        return connection.scalars(sa.text(told), {"connector": token.connector_id, "token": token.id}).one()


def test_it_reads_few_observations_however_many_there_are(engine: sa.Engine, token: TokenId) -> None:
    many = 20_000
    history = [(START + n * timedelta(seconds=10), 1, 2 if n < 13_000 else 3) for n in range(many)]
    write(engine, token.connector_id, history, history[-1][0] + timedelta(seconds=1), ended=False)
    plan = explained(engine, token)
    assert plan["Actual Rows"] == 1
    assert 10 < read(plan) < 100


def explained(engine: sa.Engine, token: TokenId) -> Any:
    sql = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement('describe_token').text}"
    parameters = {"connector_id": token.connector_id, "token_id": token.id, "tenant_id": None}
    with engine.connect() as connection:
        found = connection.scalars(sa.text(sql), parameters).one()
    (answer,) = json.loads(found) if isinstance(found, str) else found
    return answer["Plan"]


def read(plan: Any) -> float:
    """How many observations a plan has read, those that it had no use for included."""
    below = sum(read(each) for each in plan.get("Plans", []))
    if not plan.get("Relation Name", "").startswith("observation"):
        return float(below)
    return float(below + (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"])
