"""What is counted of tokens for a scrape, held against the same counted one by one."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from app.store import scrape
from app.store.scrape import LATENCY_BOUNDS, read_metrics

_CONNECTOR = sa.text(
    "INSERT INTO connector (id, tenant_id, pipeline_id, table_name, connector_name, version, recorded_at, recording,"
    " last_epoch, epoch_number, position_version, received, completed_version, frontier, total_bytes, total_records,"
    " buffered_records, buffered_bytes, num_transport_errors, num_parse_errors, end_of_input, paused, barrier)"
    " VALUES (:id, :tenant, :pipeline, 'orders', :name, 1, now(), 'sampled', 2, 2, 1, '0', 0, '[]', 0, 0, 0, 0, 0, 0,"
    " false, false, false)"
)
_OBSERVATION = sa.text(
    "INSERT INTO observation (connector_id, recorded_at, version, epoch_number, completed_version, total_bytes,"
    " total_records, buffered_records, buffered_bytes, num_transport_errors, num_parse_errors, end_of_input, paused,"
    " barrier) VALUES (:id, :at, :version, :epoch, :version, 0, 0, 0, 0, 0, 0, false, false, false)"
)
_TOKEN = sa.text(
    "INSERT INTO completion_token (connector_id, id, epoch_number, binding, issued_at, issued_by)"
    " VALUES (:id, :token, :epoch, :binding, :at, 'a test')"
)
QUARTER = timedelta(minutes=15)


@dataclass
class Scene:
    """A connector in its second epoch, in a transaction that is rolled back, and in which the clock stands still."""

    connection: sa.Connection
    tenant: uuid.UUID = field(default_factory=uuid.uuid4)
    connector: uuid.UUID = field(default_factory=uuid.uuid4)
    tokens: list[tuple[datetime, int]] = field(default_factory=list)  # of the epoch: issued, binding
    observations: list[tuple[datetime, int]] = field(default_factory=list)  # and: recorded, completed_version

    def __post_init__(self) -> None:
        pipeline = uuid.uuid4()
        self.execute("INSERT INTO tenant (id, name) VALUES (:id, :name)", id=self.tenant, name=self.tenant.hex)
        self.execute(
            "INSERT INTO pipeline (id, tenant_id, name) VALUES (:id, :tenant, 'demo')", id=pipeline, tenant=self.tenant
        )
        self.connection.execute(
            _CONNECTOR, {"id": self.connector, "tenant": self.tenant, "pipeline": pipeline, "name": "c"}
        )
        self.now: datetime = self.connection.scalars(sa.text("SELECT now()")).one()
        minutes = timedelta(minutes=self.now.minute % 15, seconds=self.now.second, microseconds=self.now.microsecond)
        self.start = self.now - minutes

    def execute(self, sql: str, **parameters: Any) -> None:
        self.connection.execute(sa.text(sql), parameters)

    def issue(self, at: datetime, binding: int, epoch: int = 2) -> None:
        token = uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | uuid.uuid4().int & (1 << 64) - 1)
        self.connection.execute(
            _TOKEN, {"id": self.connector, "token": token, "epoch": epoch, "binding": binding, "at": at}
        )
        if epoch == 2:
            self.tokens.append((at, binding))

    def observe(self, at: datetime, completed: int, epoch: int = 2) -> None:
        self.connection.execute(_OBSERVATION, {"id": self.connector, "at": at, "version": completed, "epoch": epoch})
        if epoch == 2:
            self.observations.append((at, completed))

    def read(self) -> tuple[int, list[int], float]:
        """How many were issued; how many completed within each bound, and in all; and their seconds."""
        (row,) = read_metrics(self.connection, self.tenant, None)
        return row.tokens_issued, [*row.tokens_within, row.tokens_completed], row.token_seconds

    def counted(self) -> tuple[list[int], float]:
        """The completed, one by one: a token counts in the quarter of the first observation that shows it complete."""
        seconds = []
        for issued, binding in self.tokens:
            seen = [
                at for at, version in sorted(self.observations) if version >= binding and at >= self.start - QUARTER
            ]
            in_time = issued >= self.start - QUARTER
            was_complete = issued < self.start and any(at < self.start for at in seen)
            seen = [at for at in seen if at >= self.start]
            if in_time and not was_complete and seen:
                seconds.append(max(0.0, (seen[0] - issued).total_seconds()))
        return [sum(each <= bound for each in seconds) for bound in (*LATENCY_BOUNDS, 1e9)], sum(seconds)


@pytest.fixture
def scene(engine: sa.Engine) -> Iterator[Scene]:
    with engine.connect() as connection, connection.begin() as transaction:
        yield Scene(connection)
        transaction.rollback()


@pytest.mark.parametrize("seed", range(8))
def test_tokens_are_counted_as_one_by_one_and_never_fewer(scene: Scene, seed: int) -> None:
    random = Random(seed)
    elapsed = (scene.now - scene.start).total_seconds()
    seconds = sorted(random.choice((random.uniform(-1900, 0), random.uniform(0, elapsed))) for _ in range(120))
    version, completed, before = 10, 5, (0, [0] * (len(LATENCY_BOUNDS) + 1))
    for second in seconds:
        at = scene.start + timedelta(seconds=second)
        if random.random() < 0.5:
            version += random.randrange(2)
            scene.issue(at, version + random.choice((0, 2)))
        else:
            version += 1
            completed = random.randint(completed, version)
            scene.observe(at, completed)
        issued, counts, total = scene.read()
        one_by_one, seconds_of_all = scene.counted()
        assert counts == one_by_one
        assert total == pytest.approx(seconds_of_all)
        assert issued == sum(at >= scene.start for at, _ in scene.tokens)
        assert issued >= before[0]
        assert all(now >= then for now, then in zip(counts, before[1], strict=True)), "a counter never goes back"
        before = issued, counts


def test_tokens_and_observations_of_an_earlier_epoch_do_not_count_as_complete(scene: Scene) -> None:
    scene.issue(scene.start, 3, epoch=1)
    scene.observe(scene.start + timedelta(microseconds=1), 9, epoch=1)
    scene.issue(scene.start, 8)
    scene.observe(scene.start + timedelta(microseconds=2), 7)
    assert scene.read()[:2] == (2, [0] * 9)


def test_a_token_that_was_complete_when_it_was_issued_took_no_time(scene: Scene) -> None:
    scene.observe(scene.start - timedelta(seconds=1), 5)
    scene.issue(scene.start + timedelta(microseconds=2), 5)
    assert scene.read()[1][-1] == 0, "nothing has shown it yet"
    scene.observe(scene.start + timedelta(microseconds=1), 5)
    assert scene.read() == (1, [1] * 9, 0)


def test_a_bound_is_within_itself(scene: Scene) -> None:
    scene.issue(scene.start - timedelta(seconds=10), 3)
    scene.observe(scene.start, 3)
    assert scene.read() == (0, [0, 0, 0, 1, 1, 1, 1, 1, 1], 10)


def test_after_so_many_tokens_of_a_quarter_the_counters_stand_still(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "MOST_TOKENS", 3)
    for number in range(5):
        scene.issue(scene.start + timedelta(microseconds=number * 1000), 3)
    scene.observe(scene.start + timedelta(milliseconds=10), 3)
    issued, counts, _ = scene.read()
    assert (issued, counts[-1]) == (3, 3)
