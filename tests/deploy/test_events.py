"""Streams of events from the real server through nginx: at once, without a gap, and gone when their client is."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import sqlalchemy as sa

from tests.deploy.site import STATS, Site, running
from tests.nginx import needed, nginx
from tests.serving import CONNECTOR, until
from tests.sse import Event, EventSource

HURRIED_SECONDS = 20  # gunicorn's graceful time-out is 30


@pytest.fixture(scope="module")
def site(database_url: str, engine: sa.Engine) -> Iterator[Site]:
    needed()
    with (
        TemporaryDirectory(prefix="tidemark-") as made,
        running(database_url, engine, Path(made), WORKERS="1", MAX_STREAMS_PER_CREDENTIAL="2") as site,
    ):
        yield site


def source(site: Site, key: str, query: str = "", last_id: str = "") -> EventSource:
    return EventSource(f"{site.base}/v0/events?{query}", {"Authorization": f"Bearer {key}"}, last_id)


def report(site: Site, key: str, version: int, **members: Any) -> None:
    headers = {"If-Match": f'"{version}"', "Authorization": f"Bearer {key}"}
    answer = requests.put(site.base + STATS, json=members, headers=headers, timeout=10)
    assert answer.status_code in (201, 204), answer.text


def kinds(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.data["kind"], event.data["version"]) for event in events]


def test_each_event_leaves_at_once(site: Site, key: str) -> None:
    """The next thing that is received is the event, and not first what it takes to fill a buffer, or a heartbeat."""
    following = source(site, key)
    with following.ask() as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert not [name for name in answer.headers if name.lower().startswith("x-accel")]
    with following.connected() as events:
        assert next(events).retry
        for version, kind in enumerate(("created", "paused", "resumed", "paused")):
            report(site, key, version, paused=kind == "paused")
            assert kinds([next(events)]) == [(kind, version + 1)]


def test_a_token_is_told_of_as_soon_as_it_is_complete(site: Site, key: str) -> None:
    assert site.report(key, 0, 1, 0).status_code == 201
    token = site.get(f"{CONNECTOR}/completion_token", key).json()["token"]
    following = source(site, key, f"token={token}")
    with following.connected() as events:
        next(events)
        for version in (1, 2):
            site.report(key, version, 1, 1)
        assert next(events).data == {"token": token, "status": "complete", "step": 3}
        assert list(events) == []
    answer = following.ask()
    assert answer.status_code == 204
    assert site.logged(answer)["path"] == "/v0/events"


def test_who_hangs_up_is_forgotten_at_once(site: Site, key: str) -> None:
    """Before the next heartbeat, or there would be too many."""
    following = source(site, key)
    with following.connected() as one, following.connected() as two:
        next(one), next(two)
        with following.ask() as refused:
            assert (refused.status_code, refused.json()["error_code"]) == (429, "TooManyRequests")
            assert refused.headers["Retry-After"]
    for _ in range(3):
        until(lambda: opens(following), 10)


def opens(following: EventSource) -> bool:
    with following.ask() as answer:
        return answer.status_code == 200


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_a_stream_ends_whole_with_its_process_and_goes_on_with_the_next(site: Site, key: str, how: str) -> None:
    until(lambda: len(site.server.workers()) == 1)  # what is just ending would end the stream, too
    following = source(site, key)
    with following.connected() as events:
        next(events)
        report(site, key, 0)
        received = [next(event for event in events if event.name)]
        if how == "reload":
            os.kill(site.server.process.pid, signal.SIGHUP)
        else:
            site.server.stop()
            site.server.start()
        received += [event for event in events if event.name]
    report(site, key, 1, paused=True)
    received += following.receive(1)
    assert kinds(received) == [("created", 1), ("paused", 2)]


def test_streams_hold_up_no_stop(site: Site, key: str) -> None:
    following = source(site, key)
    with following.connected() as one, following.connected() as two:
        next(one), next(two)
        site.server.process.terminate()
        site.server.process.wait(HURRIED_SECONDS)
        assert [list(events) for events in (one, two)] == [[], []]
    site.server.start()


def test_one_who_does_not_read_is_cut_off_and_goes_on_later(site: Site, tenant: str, key: str, directory: Path) -> None:
    """Meanwhile it holds up nobody else."""
    hurried = {"    send_timeout 10s": "    send_timeout 1s"}
    with nginx(directory, site.directory / "gunicorn.sock", hurried) as base:
        following = EventSource(f"{base}/v0/events", {"Authorization": f"Bearer {key}"})
        with following.connected() as events:
            begun = next(events).id
            with stuck(base, key):
                until(lambda: not opens(following), 10)
                for version in range(BATCHES):
                    report_many(site, key, version)
                received = [next(events) for _ in range(BATCH * (BATCHES + 1))]
                until(lambda: opens(following), 30)  # although it has not hung up
    late = source(site, site.key(tenant), last_id=begun).receive(len(received))
    assert [event.data for event in late] == [event.data for event in received]


BATCH, BATCHES = 100, 6  # together more than fits into what is between the server and a client


def report_many(site: Site, key: str, version: int) -> None:
    """Reports of as many connectors, which become healthy or the opposite."""
    health = {"status": ("Healthy", "Unhealthy")[version % 2], "description": "x" * 8192}
    items = [
        {"table": "orders", "connector": f"c{number}", "if_match": version, "health": health} for number in range(BATCH)
    ]
    answer = requests.post(
        f"{site.base}/v0/pipelines/demo/reports", json=items, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )
    assert {item["status"] for item in answer.json()} <= {201, 204}


@contextmanager
def stuck(base: str, key: str) -> Iterator[None]:
    """A client that asks for a stream, and reads nothing."""
    url = urlsplit(base)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((url.hostname, url.port))
        connection.sendall(f"GET /v0/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        yield


def test_no_log_holds_a_token_or_an_id(site: Site, key: str) -> None:
    assert site.report(key, 0, 1, 0).status_code == 201
    token = site.get(f"{CONNECTOR}/completion_token", key).json()["token"]
    following = source(site, key, f"token={token}&transitions=true")
    with following.connected() as events:
        next(events)
    with source(site, key, f"token={token}&transitions=true&last_event_id={following.last_id}").ask() as answer:
        assert answer.status_code == 200
    assert site.logged(answer)["path"] == "/v0/events"
    for name in ("access.log", "error.log", "printed"):
        written = (site.directory / name).read_text()
        assert token.removeprefix("ct1_") not in written
        assert following.last_id not in written
