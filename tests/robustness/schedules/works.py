"""What a side can do, and what can be there before."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.domain.connector import Report, StreamPosition
from app.domain.position import Position
from app.domain.status import ConnectorError, ErrorKind, Metrics, Recording, Status
from app.domain.token import TokenId
from app.services.report import Addressed, record, remove_connector
from app.store import partitions, status
from app.store.engine import run, transact
from tests.robustness.schedules.scene import RETENTION, TENANT, Scene
from tests.services.reporting import issue
from tests.store.test_partitions import put_back

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Work = Callable[[Scene], Any]


def measured(
    mark: int,
    if_match: int | None,
    *,
    received: int = 20,
    completed: int = 20,
    epoch: str = "old",
    recording: Recording = Recording.SAMPLED,
) -> Report:
    """A report; the mark tells one from another."""
    return Report(
        if_match=if_match,
        recording=recording,
        position=StreamPosition(epoch=epoch, received=Position.parse(received), completed=Position.parse(completed)),
        status=Status(metrics=Metrics(total_records=mark)),
        errors=(ConnectorError(kind=ErrorKind.PARSE, timestamp=NOW, index=mark + 1, tag=None, message="no comma"),),
    )


def reporting(names: str, report: Report) -> Work:
    """The same report to each of the connectors, in one transaction."""

    def work(scene: Scene) -> Any:
        items = [Addressed(scene.address(name), report) for name in names]
        return transact(scene.engine, lambda c: record(c, items, keep_every=timedelta(0)))

    return work


def removing(scene: Scene) -> None:
    transact(scene.engine, lambda c: remove_connector(c, scene.address()))


def issuing(scene: Scene) -> TokenId:
    scene.token = issue(scene.engine, scene.address())
    return scene.token


def checking(retention: timedelta = RETENTION) -> Work:
    return lambda scene: scene.check(retention)


def stopping_pipeline(scene: Scene) -> bool:
    address = scene.address()
    write = status.write_pipeline
    return run(scene.engine, lambda c: write(c, TENANT, address.pipeline_id, scene.pipeline, "Stopped"))


def making_partitions(scene: Scene) -> None:
    partitions.ensure_partitions(scene.engine.url.render_as_string(hide_password=False), days_ahead=0)


def dropping_partition(scene: Scene) -> None:
    """What retention does."""
    with scene.engine.begin() as connection:
        for sql in (
            "SET LOCAL lock_timeout = '30s'",
            f"ALTER TABLE completion_token DETACH PARTITION {_old_partition(scene)}",
            f"DROP TABLE {_old_partition(scene)}",
        ):
            connection.execute(sa.text(sql))


# What is there before.


def token_one_report_away(scene: Scene) -> None:
    issuing(scene)
    reporting("a", measured(0, 1, received=20, completed=10))(scene)


def old_token_given(scene: Scene) -> None:
    """A token in a partition of its own day, long ago."""
    day = date(2020, 1, 1) + timedelta(days=scene.number)
    low, high = partitions._token_id(day), partitions._token_id(day + timedelta(days=1))
    scene.token = TokenId(scene.address().id, UUID(int=UUID(low).int + (0x7 << 76) + (0x8 << 60)))
    row = {"connector_id": scene.token.connector_id, "id": scene.token.id}
    with scene.engine.begin() as c:
        partition = f"{_old_partition(scene)} PARTITION OF completion_token"
        c.execute(sa.text(f"DROP TABLE IF EXISTS {_old_partition(scene)}"))  # of a schedule that failed
        c.execute(sa.text(f"CREATE TABLE {partition} FOR VALUES FROM ('{low}') TO ('{high}')"))
        insert = "INSERT INTO completion_token (connector_id, id, epoch_number, binding, issued_by)"
        c.execute(sa.text(f"{insert} VALUES (:connector_id, :id, 1, 1, 'test')"), row)


def old_partition_given(scene: Scene) -> None:
    old_token_given(scene)
    issuing(scene)


def partition_of_today_missing(scene: Scene) -> None:
    making_partitions(scene)
    sql = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'completion_token'::regclass"
    with scene.engine.connect() as connection:
        made = [name for name in connection.scalars(sa.text(sql)) if not name.endswith("default")]
    for name in made:
        put_back(scene.engine, name)
    issuing(scene)


def _old_partition(scene: Scene) -> str:
    return f"completion_token_old_{scene.number}"
