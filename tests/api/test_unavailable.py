"""A database that does not answer: 503, soon, and never for longer than it lasts."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest
import sqlalchemy as sa

from app.config import AuthProvider
from app.store.roles import strong
from tests.api.client import ORDERS, PIPELINE, REPORTS, STATS, Api, refused
from tests.api.conftest import MakeApp, engine_of
from tests.occupied import occupied
from tests.serving import until

TOKEN = "ct1_djaxxyrm26tl6csiypn2pqkaqahzptjdk4d2vn6vlgj4c4g3oajq"
REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", STATS, None),
    ("PUT", STATS, {}),
    ("DELETE", ORDERS, None),
    ("GET", f"{ORDERS}/completion_token", None),
    ("GET", f"{PIPELINE}/completion_status?token={TOKEN}", None),
    ("GET", f"{PIPELINE}/completion_status?token=malformed", None),
    ("POST", REPORTS, [{"table": "orders", "connector": "billing", "if_match": 0}]),
    ("GET", "/v0/connectors", None),
    ("GET", "/v0/pipelines", None),
    ("GET", PIPELINE, None),
    ("PUT", PIPELINE, {"deployment_status": "Running"}),
    ("GET", f"{PIPELINE}/stats", None),
    ("GET", f"{PIPELINE}/metrics", None),
    ("GET", "/v0/metrics", None),
    ("GET", "/v0/api_keys", None),
    ("POST", "/v0/api_keys", {"name": "ci"}),
    ("GET", "/v0/api_keys/ci", None),
    ("POST", "/v0/api_keys/ci/rotate", {}),
    ("DELETE", "/v0/api_keys/ci", None),
    ("GET", "/v0/tenants", None),
    ("POST", "/v0/tenants", {"name": "unavailable", "admin_key": "first"}),
    ("GET", "/v0/audit", None),
]


@pytest.fixture(scope="module")
def unreachable() -> str:
    """The URL of a database where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    return f"postgresql+psycopg://nobody@127.0.0.1:{port}/nothing"


@pytest.fixture(scope="module")
def cut_off(make_app: MakeApp, unreachable: str) -> Api:
    """A client of an application without its database."""
    return Api(make_app(database_url=unreachable))


@pytest.fixture(scope="module")
def narrow(make_app: MakeApp) -> Api:
    """A client of an application with one connection."""
    return Api(make_app(pool_size=1))


@pytest.fixture(scope="module")
def exhausted(make_app: MakeApp) -> Iterator[Api]:
    """A client of an application whose only connection is taken."""
    app = make_app(pool_size=1, request_timeout=0.05)
    with occupied(engine_of(app)):
        yield Api(app)


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_an_unreachable_database_is_unavailable(cut_off: Api, method: str, path: str, body: Any) -> None:
    started = monotonic()
    refused_as_unavailable(cut_off.request(method, path, json=body), started)


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_an_exhausted_pool_is_unavailable(exhausted: Api, method: str, path: str, body: Any) -> None:
    started = monotonic()
    refused_as_unavailable(exhausted.request(method, path, json=body), started)


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_connections_that_the_server_has_closed_are_replaced_unseen(
    narrow: Api, engine: sa.Engine, method: str, path: str, body: Any
) -> None:
    with engine_of(narrow.app).connect() as connection:
        pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    response = narrow.request(method, path, json=body)
    assert response.status_code < 500, response.text


def test_a_credential_that_cannot_be_looked_up_is_not_refused(make_app: MakeApp, unreachable: str, api: Api) -> None:
    app = make_app(database_url=unreachable, auth_provider=AuthProvider.API_KEY)
    response = app.test_client().get(STATS, headers=api.headers)
    refused(response, 503, "ServiceUnavailable")


def test_a_locked_row_is_unavailable_in_time_and_stays_as_it_is(
    make_app: MakeApp, engine: sa.Engine, tenant: str
) -> None:
    app = make_app(request_timeout=0.3)
    api, connector = Api(app), f"/v0/pipelines/{tenant}/tables/orders/connectors/billing"
    assert api.report({}, 0, connector).status_code == 201
    with engine.begin() as connection:
        connection.execute(
            sa.text("SELECT FROM connector JOIN pipeline AS p ON p.id = pipeline_id WHERE name = :name FOR UPDATE"),
            {"name": tenant},
        )
        started = monotonic()
        refused_as_unavailable(api.report({}, 1, connector), started)
        assert api.stats(connector).headers["ETag"] == '"1"', "a reader waits for no lock"
    assert api.report({}, 1, connector).headers["ETag"] == '"2"'


def test_a_process_without_its_database_is_alive_and_not_ready(cut_off: Api) -> None:
    assert cut_off.get("/healthz").get_json() == {"status": "ok"}
    assert cut_off.get("/v0/config").status_code == 200
    ready = cut_off.get("/readyz")
    assert (ready.status_code, ready.get_json()["error_code"]) == (503, "NotReady")
    assert not any(ready.get_json()["details"]["checks"].values())
    assert "Retry-After" in ready.headers
    health = cut_off.get("/v0/cluster_healthz").get_json()
    assert (health["all_healthy"], health["database"]["status"]) == (False, "Unhealthy")


def test_a_process_with_its_database_is_ready(make_app: MakeApp) -> None:
    api = Api(make_app())
    answer = api.get("/readyz")
    checks = (answer.get_json().get("details") or answer.get_json())["checks"]
    assert checks.keys() == {
        "database",
        "migrated",
        "primary",
        "fsync",
        "full_page_writes",
        "synchronous_commit",
        "role",
    }
    durable = all(passed for name, passed in checks.items() if name != "role")
    assert answer.status_code == (200 if durable else 503)
    assert api.get("/v0/cluster_healthz").get_json()["all_healthy"] is durable


def test_a_pool_that_is_busy_for_a_moment_is_waited_for(make_app: MakeApp) -> None:
    app = make_app(pool_size=1, request_timeout=5.0)
    with occupied(engine_of(app)) as release:
        timer = threading.Timer(0.2, release.set)
        timer.start()
        assert Api(app).get("/v0/pipelines").status_code == 200
        timer.join()


def test_all_that_a_request_waits_for_has_one_deadline(make_app: MakeApp, engine: sa.Engine, api: Api) -> None:
    """Three of its four seconds pass before its key can be looked up; for a locked table, it has one left."""
    app = make_app(auth_provider=AuthProvider.API_KEY, pool_size=1, request_timeout=4.0)
    with engine.begin() as holder, occupied(engine_of(app)) as release:
        holder.execute(sa.text("LOCK TABLE pipeline IN ACCESS EXCLUSIVE MODE"))
        timer = threading.Timer(3.0, release.set)
        timer.start()
        started = monotonic()
        refused(app.test_client().get(STATS, headers=api.headers), 503, "ServiceUnavailable")
        assert monotonic() - started < 5.5
        timer.join()


def test_more_requests_than_may_be_at_the_database_are_refused_at_once(make_app: MakeApp) -> None:
    app = make_app(pool_size=1, worker_connections=10, request_timeout=60.0)
    with ThreadPoolExecutor(12) as clients, occupied(engine_of(app)) as release:  # which is one of the nine itself
        answers = [clients.submit(Api(app).get, "/v0/pipelines") for _ in range(12)]
        until(lambda: sum(answer.done() for answer in answers) == 4)
        for answer in answers:
            if answer.done():
                refused(answer.result(), 503, "ServiceUnavailable")
        release.set()
        assert sorted(answer.result().status_code for answer in answers) == [200] * 8 + [503] * 4


def refused_as_unavailable(response: Any, started: float) -> None:
    assert monotonic() - started < 2.0
    refused(response, 503, "ServiceUnavailable")
    assert int(response.headers["Retry-After"]) >= 1


def test_a_server_whose_role_is_stronger_than_it_need_be_is_ready_unless_that_is_required(
    make_app: MakeApp, engine: sa.Engine
) -> None:
    with engine.connect() as connection:
        weak = not strong(connection)
    assert Api(make_app(allow_unsafe_database=True)).get("/readyz").status_code == 200
    answer = Api(make_app(allow_unsafe_database=True, require_app_role=True)).get("/readyz")
    assert answer.status_code == (200 if weak else 503)
    assert (answer.get_json().get("details") or answer.get_json())["checks"]["role"] is weak
