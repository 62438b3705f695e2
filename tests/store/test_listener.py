"""The listener, on a real server."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from app.store.listener import Listener

Heard = queue.Queue[tuple[str, str]]
GAP = ("", "gap")


@contextmanager
def listening(url: str, *channels: str) -> Iterator[Heard]:
    """What a listener hears while the block lasts; a gap is heard as GAP."""
    heard: Heard = queue.Queue()
    listener = Listener(url, channels, lambda channel, payload: heard.put((channel, payload)), lambda: heard.put(GAP))
    listener.start()
    try:
        yield heard
    finally:
        listener.close()


def notify(engine: sa.Engine, channel: str, payload: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


def terminate(engine: sa.Engine) -> None:
    """Ends every listener's session on this database."""
    with engine.begin() as connection:
        ended = connection.scalars(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'tidemark-listener'"
            )
        ).all()
    assert ended == [True]


def test_notifications_arrive_in_order_from_all_channels(clone: str, clone_engine: sa.Engine) -> None:
    with listening(clone, "one", 'Two "quoted"') as heard:
        assert heard.get(timeout=10) == GAP
        sent = [("one", "1"), ('Two "quoted"', "2"), ("one", "3")]
        for channel, payload in [*sent[:2], ("another", "not listened for"), *sent[2:]]:
            notify(clone_engine, channel, payload)
        assert [heard.get(timeout=10) for _ in sent] == sent


def test_what_the_url_says_of_the_connection_is_no_hindrance(clone: str, clone_engine: sa.Engine) -> None:
    said = {"connect_timeout": "3", "application_name": "mine", "keepalives_idle": "9", "options": "-c lock_timeout=7"}
    url = sa.make_url(clone).update_query_dict(said).render_as_string(hide_password=False)
    with listening(url, "one") as heard:
        assert heard.get(timeout=10) == GAP
        notify(clone_engine, "one", "1")
        assert heard.get(timeout=10) == ("one", "1")


def test_it_comes_back_and_tells_of_the_gap(clone: str, clone_engine: sa.Engine) -> None:
    with listening(clone, "one") as heard:
        assert heard.get(timeout=10) == GAP
        for round_ in range(3):
            terminate(clone_engine)
            assert heard.get(timeout=10) == GAP
            notify(clone_engine, "one", str(round_))
            assert heard.get(timeout=10) == ("one", str(round_))


def test_it_tries_until_there_is_a_server(clone: str, database_server: str, clone_engine: sa.Engine) -> None:
    name = sa.make_url(clone).database
    admin = sa.create_engine(database_server, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        with listening(clone, "one") as heard:
            with pytest.raises(queue.Empty):
                heard.get(timeout=0.5)
            connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
            assert heard.get(timeout=10) == GAP


def test_a_callback_that_fails_does_not_end_it(clone: str, clone_engine: sa.Engine) -> None:
    heard: Heard = queue.Queue()

    def on_notify(channel: str, payload: str) -> None:
        if payload == "bad":
            raise ValueError(payload)
        heard.put((channel, payload))

    listener = Listener(clone, ["one"], on_notify, lambda: heard.put(GAP))
    listener.start()
    assert heard.get(timeout=10) == GAP
    notify(clone_engine, "one", "bad")
    assert heard.get(timeout=10) == GAP
    notify(clone_engine, "one", "good")
    assert heard.get(timeout=10) == ("one", "good")
    listener.close()


def test_closing_ends_the_thread(clone: str) -> None:
    before = threading.active_count()
    with listening(clone, "one") as heard:
        heard.get(timeout=10)
    assert threading.active_count() == before
