import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.domain.errors import ServiceUnavailable
from app.store.engine import make_engine, run, transact

CLOSED = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def small_engine(database_url: str) -> Iterator[sa.Engine]:
    engine = make_engine(database_url, pool_size=1, timeout_seconds=0.5)
    yield engine
    engine.dispose()


def one(connection: sa.Connection) -> int:
    return int(connection.scalars(sa.text("SELECT 1")).one())


def kill_backends(engine: sa.Engine, victim: int) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": victim})


def backend(connection: sa.Connection) -> int:
    return int(connection.scalars(sa.text("SELECT pg_backend_pid()")).one())


@pytest.mark.parametrize("do", [run, transact])
def test_an_unreachable_database_is_unavailable(do: object) -> None:
    with pytest.raises(ServiceUnavailable):
        do(make_engine(CLOSED), one)  # type: ignore[operator]


@pytest.mark.parametrize("do", [run, transact])
def test_an_exhausted_pool_is_unavailable_within_the_deadline(small_engine: sa.Engine, do: object) -> None:
    with small_engine.connect():
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            do(small_engine, one)  # type: ignore[operator]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("sql", ["SELECT pg_sleep(30)", "LOCK TABLE pipeline"])
def test_a_statement_and_a_lock_end_at_the_deadline(engine: sa.Engine, small_engine: sa.Engine, sql: str) -> None:
    with engine.begin() as holder:
        holder.execute(sa.text("LOCK TABLE pipeline IN SHARE MODE"))
        with pytest.raises(ServiceUnavailable):
            transact(small_engine, lambda c: c.execute(sa.text(sql)))
    assert run(small_engine, one) == 1


def test_a_forgotten_transaction_is_ended(small_engine: sa.Engine) -> None:
    def forget(connection: sa.Connection) -> int:
        one(connection)
        time.sleep(1.0)
        return one(connection)

    with pytest.raises(ServiceUnavailable):
        transact(small_engine, forget)


@pytest.mark.parametrize("do", [run, transact])
def test_a_connection_closed_while_idle_is_replaced(engine: sa.Engine, small_engine: sa.Engine, do: object) -> None:
    victim = do(small_engine, backend)  # type: ignore[operator]
    kill_backends(engine, victim)
    assert do(small_engine, backend) != victim  # type: ignore[operator]


def test_a_deadlock_is_tried_again(clone_engine: sa.Engine) -> None:
    with clone_engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE pair (id int PRIMARY KEY, n int)"))
        connection.execute(sa.text("INSERT INTO pair VALUES (1, 0), (2, 0)"))
    met = threading.Barrier(2)
    tries: list[int] = []

    def in_order(first: int, second: int) -> None:
        def work(connection: sa.Connection) -> None:
            tries.append(first)
            connection.execute(sa.text("UPDATE pair SET n = n + 1 WHERE id = :id"), {"id": first})
            if len(tries) <= 2:
                met.wait()
            connection.execute(sa.text("UPDATE pair SET n = n + 1 WHERE id = :id"), {"id": second})

        transact(clone_engine, work)

    threads = [threading.Thread(target=in_order, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with clone_engine.connect() as connection:
        assert list(connection.scalars(sa.text("SELECT n FROM pair"))) == [2, 2]
    assert len(tries) == 3


def test_a_defect_is_not_called_unavailable(engine: sa.Engine) -> None:
    with pytest.raises(DBAPIError):
        run(engine, lambda c: c.execute(sa.text("SELECT no_such_column")))
