"""Following events over HTTP: what is told, to whom, and from where on."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import make_server

from app.api.events import MAX_TOKENS
from app.config import AuthProvider
from app.domain.event_order import BEGINNING, Cursor, EventPlace
from app.domain.roles import Role
from app.domain.subscription import Subscription
from app.domain.token import TokenId
from app.services import authenticate, follow
from tests.api.client import ORDERS, PIPELINE, Api, forged, refused
from tests.api.conftest import MakeApp, MakeKey
from tests.api.test_statements import Counter
from tests.services.reporting import settle
from tests.serving import until
from tests.sse import Event, EventSource

OTHER = "/v0/pipelines/other/tables/%22Refunds%22/connectors/audit"
TOKEN = str(TokenId(UUID(int=1), UUID(int=(0x7 << 76) | (0x8 << 60))))

Follow = Callable[..., EventSource]


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application of these tests' own: others count what theirs sends to the database."""
    return make_app(auth_provider=AuthProvider.API_KEY)


@pytest.fixture(scope="module")
def base(app: Flask) -> Iterator[str]:
    with serving(app) as url:
        yield url


class serving:  # noqa: N801 - used as a function
    """A server that runs the application; its URL."""

    def __init__(self, app: Flask) -> None:
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def source(base: str, api: Api) -> Follow:
    """Follows what the query asks for, as the test's own tenant."""

    def source(query: str = "", last_id: str = "", by: Api = api) -> EventSource:
        return EventSource(f"{base}/v0/events?{query}", by.headers, last_id)

    return source


@pytest.fixture
def beating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats are quick."""
    monkeypatch.setattr(follow, "HEARTBEAT_SECONDS", 0.1)


def begun(source: EventSource) -> EventSource:
    """It has connected, and knows the id of where its stream began."""
    with source.connected() as events:
        next(events)
    return source


def told(events: list[Event]) -> list[tuple[str, str, str, str, int]]:
    """Transitions, in short."""
    assert {event.name for event in events} <= {"connector"}
    names = ("pipeline", "table", "connector", "kind", "version")
    return [tuple(event.data[name] for name in names) for event in events]


def lives(api: Api, connector: str = ORDERS) -> None:
    """Goes through six transitions, in five versions."""
    api.position(1, 1, 0, "run-1", connector)
    for version, report in enumerate(({"paused": True}, {}, {"fatal_error": "no disk"}), 1):
        assert api.report(report, version, connector).status_code == 204
    api.remove(connector)


def life(*connector: str) -> list[tuple[Any, ...]]:
    kinds = [("created", 1), ("epoch", 1), ("paused", 2), ("resumed", 3), ("failed", 4), ("removed", 4)]
    return [(*connector, *kind) for kind in kinds]


BILLING, AUDIT = ("demo", "orders", "billing"), ("other", "Refunds", "audit")


def test_transitions_are_told_in_order_with_all_that_is_recorded_of_them(api: Api, source: Follow) -> None:
    following = begun(source())
    lives(api)
    events = following.receive(6)
    assert told(events) == life(*BILLING)
    assert list(events[1].data) == ["pipeline", "table", "connector", "kind", "version", "at", "details"]
    assert events[1].data["details"] == {"number": 1, "label": "run-1"}
    assert events[4].data["details"] == {"error": "no disk"}
    assert events[1].data["at"].endswith("Z")
    assert len({event.id for event in events}) == 6


def test_a_stream_begins_now(api: Api, engine: sa.Engine, source: Follow) -> None:
    """What was acknowledged before is not told; what happens as soon as its first line is there, is."""
    api.report({}, 0)
    settle(engine)
    with source().connected() as events:
        first = next(events)
        api.report({"paused": True}, 1)
        assert (first.name, first.data) == ("", None)
        assert 1000 <= int(first.retry) <= 3000
        assert told([next(events)]) == [(*BILLING, "paused", 2)]


def test_the_answer_is_a_stream_that_nobody_keeps_or_holds_back(source: Follow) -> None:
    with source().ask() as answer:
        headers = answer.headers
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"


@pytest.mark.parametrize(
    ("query", "lives_told"),
    [
        ("pipeline=other", [AUDIT]),
        ("connector=billing", [BILLING]),
        ("table=ORDERS", [BILLING]),
        ("table=%22Refunds%22", [AUDIT]),
        ("table=refunds&pipeline=other", []),
        ("pipeline=demo&table=orders&connector=billing", [BILLING]),
        ("pipeline=unknown", []),
        ("transitions=true", [BILLING, AUDIT]),
    ],
)
def test_a_query_narrows_what_is_told(
    api: Api, source: Follow, query: str, lives_told: list[tuple[str, ...]], beating: None
) -> None:
    narrowed, everything = begun(source(query)), begun(source())
    for connector in (ORDERS, OTHER):
        lives(api, connector)
    assert told(everything.receive(12)) == life(*BILLING) + life(*AUDIT)
    assert told(past(narrowed, everything.last_id)) == [event for names in lives_told for event in life(*names)]


def past(source: EventSource, last_id: str) -> list[Event]:
    """What is told until the stream is behind that event of another one."""
    named = []
    with source.connected() as events:
        for event in events:
            named += [event] if event.name else []
            if place(event.id) >= place(last_id):
                break
    return named


def place(text: str) -> EventPlace:
    return Cursor._decoded(text).place


def test_whoever_comes_back_is_told_what_he_missed_and_nothing_twice(api: Api, source: Follow) -> None:
    """After each event, and before the first of them."""
    following = begun(source())
    lives(api)
    received = [following.receive(1)[0] for _ in range(6)]
    assert told(received) == life(*BILLING)
    assert told(source(last_id=received[2].id).receive(3)) == life(*BILLING)[3:]


def test_an_id_may_be_in_the_url_and_a_newer_one_in_the_header(api: Api, source: Follow) -> None:
    following = begun(source())
    lives(api)
    received = following.receive(6)
    query = f"last_event_id={received[0].id}"
    assert told(source(query).receive(5)) == life(*BILLING)[1:]
    assert told(source(query, received[4].id).receive(1)) == life(*BILLING)[5:]


def test_a_tenant_is_told_of_its_own_only(api: Api, make_api: Callable[..., Api], source: Follow) -> None:
    tenant = uuid.uuid4().hex
    other = make_api(Role.READ, tenant)
    following, others = begun(source()), begun(source(by=other))
    lives(api)
    make_api(Role.WRITE, tenant).report({}, 0)
    assert told(others.receive(1)) == [(*BILLING, "created", 1)]
    assert told(following.receive(6)) == life(*BILLING)
    with source(last_id=following.last_id, by=other).ask() as answer:
        assert (answer.status_code, answer.json()["error_code"]) == (400, "InvalidParam")


def test_tokens_are_told_of_once_they_are_complete_or_lost(api: Api, source: Follow) -> None:
    """A named one that is already, at once; and when all are, the stream is over for good."""
    api.position(1, 1, 0)
    api.position(1, 1, 0, connector=OTHER)
    complete, lost, late = api.token(), api.token(OTHER), ""
    for version in (1, 2):
        api.position(1, 1, version)
    late = api.token()
    following = source("&".join(f"token={token}" for token in (late, complete, forged(late), lost, complete)))
    with following.connected() as events:
        next(events)
        first = {event.data["token"]: event.data for event in (next(events), next(events))}
        api.remove(OTHER)
        second = next(events).data
        for version in (3, 4):
            api.position(1, 1, version)
        assert next(events).data == {"token": late, "status": "complete", "step": 5}
        assert next(events, None) is None
    assert first[complete] == {"token": complete, "status": "complete", "step": 3}
    unknown = refused(api.check(forged(late)), 404, "UnknownCompletionToken")
    assert first[forged(late)] == {"token": forged(late), "status": "failed"} | unknown
    removed = refused(api.check(lost, PIPELINE.replace("demo", "other")), 410, "UnknownEndpointInCompletionToken")
    assert second == {"token": lost, "status": "failed"} | removed
    with following.ask() as answer:
        assert (answer.status_code, answer.content) == (204, b"")


def test_a_token_is_told_of_once_also_to_whoever_comes_back(api: Api, source: Follow) -> None:
    api.position(1, 1, 0)
    tokens = [api.token() for _ in range(9)]
    following = source("&".join(f"token={token}" for token in tokens))
    begun(following)
    for version in (1, 2):
        api.position(1, 1, version)
    received = [following.receive(1)[0] for _ in range(4)] + following.rest()
    assert [event.data["token"] for event in received] == tokens
    assert [event.name for event in received] == ["token"] * 9


def test_tokens_and_transitions_may_come_together(api: Api, engine: sa.Engine, source: Follow) -> None:
    api.position(1, 1, 0)
    token = api.token()
    settle(engine)
    following = begun(source(f"token={token}&transitions=true"))
    api.report({"paused": True}, 1)
    for version in (2, 3):
        api.position(1, 1, version)
    events = following.receive(3)
    assert sorted((event.name, event.data.get("kind")) for event in events) == [
        ("connector", "paused"),
        ("connector", "resumed"),
        ("token", None),
    ]
    api.remove()
    assert told(following.receive(1)) == [(*BILLING, "removed", 4)]


def test_of_tokens_alone_no_transition_is_told(api: Api, source: Follow) -> None:
    api.position(1, 1, 0)
    following = begun(source(f"token={api.token()}"))
    api.report({"paused": True}, 1)
    api.remove()
    assert [event.name for event in following.rest()] == ["token"]


def test_a_token_of_another_tenant_is_unknown(api: Api, make_api: Callable[..., Api], source: Follow) -> None:
    api.position(1, 1, 0)
    (event,) = source(f"token={api.token()}", by=make_api(Role.READ, uuid.uuid4().hex)).rest()
    assert event.data["error_code"] == "UnknownCompletionToken"


BAD = {
    "token=x": "token: ",
    "token=": "token: ",
    "transitions=1": "transitions: ",
    "transitions=false": "transitions: ",
    f"token={TOKEN}&pipeline=demo": "transitions: ",
    "pipeline=a.b": "pipeline: ",
    "table=": "table: ",
    "connector=%2F": "connector: ",
    "last_event_id=x": "last_event_id: ",
    "last_event_id=%FF": "last_event_id: ",
}


@pytest.mark.parametrize("query", BAD)
def test_a_bad_query_is_refused(api: Api, query: str) -> None:
    for method in ("GET", "HEAD"):
        response = api.request(method, f"/v0/events?{query}")
        assert response.status_code == 400
    error = refused(api.get(f"/v0/events?{query}"), 400, "InvalidParam")
    assert error["details"]["error"].startswith(BAD[query])


def test_so_many_tokens_may_be_named_and_no_more(api: Api, source: Follow) -> None:
    tokens = [str(TokenId(uuid.uuid4(), TokenId.parse(TOKEN).id)) for _ in range(MAX_TOKENS + 1)]
    query = "&".join(f"token={token}" for token in tokens)
    refused(api.get(f"/v0/events?{query}"), 400, "InvalidParam")
    events = source(query.rpartition("&")[0]).rest()
    assert [event.data["token"] for event in events] == tokens[:-1]


def test_an_id_of_what_cannot_be_is_refused(api: Api, source: Follow) -> None:
    """Spelt as one of this very query: more tokens than it names, a place that no database has."""
    subscription = Subscription(tenant=api.tenant_id, tokens=(TOKEN,))
    cursor = Cursor(query=subscription.digest, made_at=1, place=BEGINNING, told=2)
    refused(api.get(f"/v0/events?token={TOKEN}&transitions=true&last_event_id={cursor}"), 400, "InvalidParam")


def test_head_opens_no_stream(app: Flask, api: Api) -> None:
    before = open_streams(app)
    answer = api.request("HEAD", "/v0/events")
    assert (answer.status_code, answer.content_type, answer.get_data()) == (200, "text/event-stream", b"")
    assert open_streams(app) <= before


def open_streams(app: Flask) -> int:
    """How many are open; this server notices that a client has gone when it next has something to say."""
    seats = app.extensions["tidemark"].streams._seats
    return int(seats._holders.total())


HOUR = 3600


@pytest.mark.parametrize(
    ("age", "ahead", "is_reset"), [(HOUR - 60, 0, False), (HOUR + 60, 0, True), (0, 1_000_000, True)]
)
def test_an_id_too_old_or_of_another_database_resets_the_stream(
    api: Api, engine: sa.Engine, source: Follow, age: int, ahead: int, is_reset: bool
) -> None:
    following = begun(source())
    cursor = Cursor._decoded(following.last_id)
    lives(api)
    settle(engine)
    changed = replace(cursor, made_at=cursor.made_at - age, place=replace(cursor.place, xid=cursor.place.xid + ahead))
    again = source(last_id=str(changed))
    if not is_reset:
        assert told(again.receive(6)) == life(*BILLING)
        return
    with again.connected() as events:
        first = next(events)
        assert first.name == "reset"
        assert list(first.data) == ["message"]
        api.report({}, 0)
        assert told([next(events)]) == [(*BILLING, "restored", 5)]


def test_of_tokens_an_id_never_gets_too_old(api: Api, source: Follow) -> None:
    api.position(1, 1, 0)
    following = begun(source(f"token={api.token()}"))
    old = replace(Cursor._decoded(following.last_id), made_at=1)
    api.remove()
    assert [event.name for event in source(following.url.partition("?")[2], str(old)).rest()] == ["token"]


def test_only_so_many_streams_may_be_open(make_app: MakeApp, make_key: MakeKey, tenant: str, beating: None) -> None:
    app = make_app(auth_provider=AuthProvider.API_KEY, max_streams=3, max_streams_per_credential=2)
    with serving(app) as base:
        first, second, third = (
            EventSource(f"{base}/v0/events", {"Authorization": f"Bearer {make_key(Role.READ, tenant)}"})
            for _ in range(3)
        )
        with first.connected(), first.connected():
            too_many(first)
            with second.connected():
                too_many(third)
                assert Api(app, make_key(Role.ADMIN, tenant)).request("HEAD", "/v0/events").status_code == 200
        until(lambda: open_streams(app) == 0)
        with first.connected(), first.connected(), second.connected():
            pass


def too_many(source: EventSource) -> None:
    with source.ask() as answer:
        assert (answer.status_code, answer.json()["error_code"]) == (429, "TooManyRequests")
        assert int(answer.headers["Retry-After"]) > 0


def test_a_stream_says_that_it_is_alive_and_its_id_stays_young(source: Follow, beating: None) -> None:
    """Also where nothing happens, so that whoever comes back can go on for an hour from then on."""
    with source().connected() as events:
        made_at = Cursor._decoded(next(events).id).made_at
        later = next(event for event in events if Cursor._decoded(event.id).made_at > made_at)
    assert (later.name, later.data) == ("", None)


def test_a_revoked_key_loses_its_stream(
    api: Api, make_key: MakeKey, tenant: str, source: Follow, monkeypatch: pytest.MonkeyPatch, beating: None
) -> None:
    monkeypatch.setattr(authenticate, "WATCHED_SECONDS", 0.1)
    doomed = Api(api.app, make_key(Role.READ, tenant, "doomed"))
    with source().connected() as lives_on, source(by=doomed).connected() as ends:
        next(lives_on)
        assert api.request("DELETE", "/v0/api_keys/doomed").status_code == 204
        assert len(list(ends)) >= 1
        for _ in range(5):
            next(lives_on)
    with source(by=doomed).ask() as answer:
        assert answer.status_code == 401


def test_when_the_process_is_to_end_its_streams_do(make_app: MakeApp, engine: Any) -> None:
    app = make_app(auth_provider=AuthProvider.NONE)
    with serving(app) as base, ThreadPoolExecutor(1) as reader:
        source = EventSource(f"{base}/v0/events")
        with source.connected() as events:
            next(events)
            app.on_stop()
            assert reader.submit(list, events).result(10) == []
        assert source.last_id
        assert source.rest() == []


def test_idle_streams_send_about_a_statement_a_second_together(make_app: MakeApp) -> None:
    app = make_app(auth_provider=AuthProvider.NONE)
    counter = Counter(app)
    api = Api(app)
    pipeline = f"/v0/pipelines/{uuid.uuid4().hex}"
    api.position(1, 1, 0, connector=f"{pipeline}/tables/t/connectors/c")
    token = api.token(f"{pipeline}/tables/t/connectors/c")
    queries = ("", "pipeline=x", f"token={token}", f"token={token}&transitions=true")
    with serving(app) as base, ExitStack() as stack:
        for query in queries * 5:
            next(stack.enter_context(EventSource(f"{base}/v0/events?{query}").connected()))
        time.sleep(1)
        began = time.monotonic()
        counter.take()
        time.sleep(10)
        looks = 1 + (time.monotonic() - began) / 0.85
        assert 0 < counter.take() <= 2 * looks, "one for transitions, one for tokens"
        app.on_stop()
