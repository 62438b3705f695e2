import socket
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.domain.errors import ServiceUnavailable
from app.store.deadline import patience
from app.store.engine import Repeat, make_engine, run, transact
from tests.occupied import occupied

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
    with occupied(small_engine):
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            do(small_engine, one)  # type: ignore[operator]
    assert time.monotonic() - started < 5


def test_what_the_url_asks_of_a_session_it_gets_but_every_wait_ends_all_the_same(database_url: str) -> None:
    asked = {"options": "-c work_mem=5MB -c lock_timeout=0", "application_name": "mine", "connect_timeout": "3"}
    engine = make_engine(sa.make_url(database_url).update_query_dict(asked).render_as_string(hide_password=False))
    shown = sa.select(sa.func.current_setting("work_mem"), sa.func.current_setting("lock_timeout"))
    assert tuple(run(engine, lambda connection: connection.execute(shown).one())) == ("5MB", "4s")
    engine.dispose()


@pytest.mark.parametrize("sql", ["SELECT pg_sleep(30)", "LOCK TABLE pipeline"])
def test_a_statement_and_a_lock_end_at_the_deadline(engine: sa.Engine, small_engine: sa.Engine, sql: str) -> None:
    with engine.begin() as holder:
        holder.execute(sa.text("LOCK TABLE pipeline IN SHARE MODE"))
        with pytest.raises(ServiceUnavailable):
            transact(small_engine, lambda c: c.execute(sa.text(sql)))
    assert run(small_engine, one) == 1


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql+psycopg://nobody@127.0.0.1:{server.getsockname()[1]}/nothing"


@pytest.mark.parametrize("do", [run, transact])
def test_a_server_that_accepts_and_never_answers_is_unavailable(black_hole: str, do: object) -> None:
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable):
        do(make_engine(black_hole, timeout_seconds=0.5), one)  # type: ignore[operator]
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("do", [run, transact])
def test_a_server_that_falls_silent_is_unavailable_and_its_late_answer_is_nobodys(
    engine: sa.Engine, small_engine: sa.Engine, do: object
) -> None:
    """The process that serves the connection is stopped, so that the kernel still takes what is sent to it."""
    victim = psutil.Process(run(small_engine, backend))
    victim.suspend()
    try:
        with pytest.raises(ServiceUnavailable):
            do(small_engine, one)  # type: ignore[operator]
    finally:
        victim.resume()
    assert do(small_engine, backend) != victim.pid  # type: ignore[operator]


@pytest.mark.parametrize("do", [run, transact])
def test_more_callers_than_may_wait_are_refused_at_once(database_url: str, do: object) -> None:
    engine = make_engine(database_url, pool_size=1, max_callers=1, timeout_seconds=60)
    with occupied(engine), pytest.raises(ServiceUnavailable):
        do(engine, one)  # type: ignore[operator]
    assert do(engine, one) == 1  # type: ignore[operator]
    engine.dispose()


def test_a_caller_that_gives_up_costs_the_others_no_connection(database_url: str) -> None:
    engine = make_engine(database_url, pool_size=2)

    def both() -> set[int]:
        return run(engine, lambda c: {backend(c), run(engine, backend)})

    before = both()
    with patience(0.0), pytest.raises(ServiceUnavailable):
        run(engine, one)
    with patience(0.3), pytest.raises(ServiceUnavailable):
        run(engine, lambda c: c.execute(sa.text("SELECT pg_sleep(2)")))
    assert len(before & both()) == 1
    engine.dispose()


def test_all_that_is_done_with_one_patience_has_one_deadline(engine: sa.Engine) -> None:
    def sleep(connection: sa.Connection) -> None:
        connection.execute(sa.text("SELECT pg_sleep(0.4)"))

    with patience(0.7):
        run(engine, sleep)
        time.sleep(0.5)  # not spent on the database
        for do in (run, transact):
            with pytest.raises(ServiceUnavailable):
                do(engine, sleep)
    run(engine, sleep)


def test_a_transaction_is_repeated_no_longer_than_its_deadline(engine: sa.Engine) -> None:
    def repeat(_: sa.Connection) -> None:
        raise Repeat

    with patience(0.3), pytest.raises(ServiceUnavailable):
        transact(engine, repeat)


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
    met, committed = threading.Barrier(2), threading.Event()
    tries: list[int] = []

    def in_order(first: int, second: int) -> None:
        def work(connection: sa.Connection) -> None:
            tries.append(first)
            if len(tries) > 2:
                committed.wait(10)  # or the one that failed could be back at its row first, and they deadlock again
            connection.execute(sa.text("UPDATE pair SET n = n + 1 WHERE id = :id"), {"id": first})
            if len(tries) <= 2:
                met.wait()
            connection.execute(sa.text("UPDATE pair SET n = n + 1 WHERE id = :id"), {"id": second})

        transact(clone_engine, work)
        committed.set()

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
