"""The real server behind nginx, on a Unix socket and with API keys, as in production."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import requests
import sqlalchemy as sa

from app.domain.roles import Role
from tests.deploy.site import STATS, Site, running, status
from tests.deploy.test_slow_clients import PATIENT
from tests.nginx import needed
from tests.serving import CONNECTOR, until

REVOKED_SECONDS = 5  # docs/deploying.md
GRACE_SECONDS = 3  # for a busy machine
STALE_SECONDS = 3


@pytest.fixture(scope="module")
def site(database_url: str, engine: sa.Engine) -> Iterator[Site]:
    needed()
    # So few connections that slow clients would soon have them all, if nginx passed them on.
    few = {"WORKER_CONNECTIONS": "20", "LOG_LEVEL": "debug"}
    with (
        TemporaryDirectory(prefix="tidemark-") as made,
        running(database_url, engine, Path(made), PATIENT, **few) as site,
    ):
        yield site


def test_stats_are_kept_for_a_moment_and_reports_and_conditions_get_through(site: Site, key: str) -> None:
    assert site.report(key, 0, 10, 5).status_code == 201
    first, again = site.get(STATS, key), site.get(STATS, key)
    assert [site.cache(answer) for answer in (first, again)] == ["MISS", "HIT"]
    assert site.report(key, 0, 11, 5).status_code == 412
    assert site.report(key, 1, 11, 5).status_code == 204
    until(lambda: site.get(STATS, key).headers["ETag"] == '"2"', STALE_SECONDS + GRACE_SECONDS)
    head, get = site.request("HEAD", STATS, key), site.get(STATS, key)
    assert head.content == b""
    for name in ("ETag", "Last-Modified", "Content-Type", "Content-Length", "Cache-Control"):
        assert head.headers[name] == get.headers[name]
    unchanged = site.get(STATS, key, If_None_Match='"2"')
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    for answer in (first, again, head, get, unchanged):
        assert not [name for name in answer.headers if name.lower().startswith("x-accel")]


def test_each_tenant_and_each_key_gets_its_own(site: Site, tenant: str, key: str) -> None:
    """The same URLs, one right after the other."""
    other, nobody, reader = site.key(uuid4().hex), "tmk_0000", site.key(tenant, role=Role.READ)
    complete = site.complete_token(key)
    site.report(other, 0, 77, 7)
    received = {}
    for name, caller in {"own": key, "other": other, "reader": reader}.items():
        received[name] = [site.get(STATS, caller).json()["recorded"]["received"] for _ in range(2)]
    assert received == {"own": [10, 10], "other": [77, 77], "reader": [10, 10]}
    assert [site.get(complete, caller).status_code for caller in (key, reader, other, nobody)] == [200, 200, 404, 401]
    assert [site.get(STATS, nobody).status_code for _ in range(2)] == [401, 401]
    without = requests.get(site.base + STATS, timeout=10)
    assert (without.status_code, without.json()["error_code"]) == (401, "AuthenticationFailed")


def test_a_complete_status_is_kept_and_one_in_progress_never(site: Site, key: str) -> None:
    site.report(key, 0, 10, 5)
    path = status(site.get(f"{CONNECTOR}/completion_token", key).json()["token"])
    checked = [site.get(path, key) for _ in range(3)]
    assert [(answer.status_code, site.cache(answer)) for answer in checked] == [(202, "MISS")] * 3
    assert [site.report(key, version, 10, 10).status_code for version in (1, 2)] == [204, 204]
    checked = [site.get(path, key) for _ in range(3)]
    assert [answer.json()["status"] for answer in checked] == ["complete"] * 3, "with no delay"
    assert [site.cache(answer) for answer in checked] == ["MISS", "HIT", "HIT"]
    head = site.request("HEAD", path, key)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (
        200,
        b"",
        checked[0].headers["Content-Length"],
    )


def test_a_wait_gets_through_and_is_not_kept(site: Site, key: str) -> None:
    site.report(key, 0, 1, 1)
    token = status(str(site.get(f"{CONNECTOR}/completion_token", key).json()["token"]))
    brief = site.get(token, key, Prefer="wait=1")
    assert (brief.status_code, brief.headers["Preference-Applied"]) == (202, "wait=1")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(requests.get, f"{site.base}{token}&wait=60", headers=bearer(key), timeout=90)
        assert [site.report(key, version, 1, 1).status_code for version in (1, 2)] == [204, 204]
        answer = waiting.result()
    assert (answer.status_code, answer.json()) == (200, {"status": "complete", "step": 3})
    assert [site.cache(each) for each in (brief, answer, site.get(f"{token}&wait=60", key))] == [""] * 3


def test_one_who_hangs_up_on_nginx_is_forgotten_by_the_server(
    database_url: str, engine: sa.Engine, directory: Path, tenant: str
) -> None:
    needed()
    with running(database_url, engine, directory, WORKERS="1", MAX_WAITS="1") as site:
        key = site.key(tenant)
        site.report(key, 0, 1, 1)
        token = status(str(site.get(f"{CONNECTOR}/completion_token", key).json()["token"]))
        head = f"GET {token}&wait=60 HTTP/1.1\r\nHost: tidemark\r\nAuthorization: Bearer {key}\r\n\r\n"
        with site.many(1, head.encode()):
            time.sleep(1)  # or one of those who ask next could have its place, and it would be refused
            until(lambda: site.get(f"{token}&wait=0.01", key).status_code == 429)
        until(lambda: site.get(f"{token}&wait=0.01", key).status_code == 202, 20)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_what_is_refused_is_asked_again(site: Site, tenant: str, key: str) -> None:
    reader = site.key(tenant, role=Role.READ)
    issue = f"{CONNECTOR}/completion_token"
    assert [site.get(STATS, key).status_code for _ in range(2)] == [404, 404]
    site.report(key, 0, 1, 1)
    assert site.get(STATS, key).status_code == 200, "the 404 is not remembered"
    assert [site.get(issue, reader).status_code for _ in range(2)] == [403, 403]
    assert site.get(issue, key).json()["token"] != site.get(issue, key).json()["token"]
    assert site.request("HEAD", issue, key).status_code == 405
    stopped = requests.put(
        f"{site.base}/v0/pipelines/demo",
        json={"deployment_status": "Stopped"},
        headers={"Authorization": f"Bearer {key}"},
        timeout=10,
    )
    assert stopped.ok, stopped.text
    until(lambda: site.get(STATS, key).status_code == 503, STALE_SECONDS + GRACE_SECONDS)
    answers = [site.get(STATS, key) for _ in range(2)]
    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "5")] * 2
    assert {site.cache(answer) for answer in answers} <= {"MISS", "EXPIRED"}


def test_a_revoked_key_stops_within_the_time_that_is_documented(site: Site, tenant: str, key: str) -> None:
    """While it is used without a pause, so that what is kept of it is as fresh as can be."""
    revoked = site.key(tenant, "revoked")
    complete = site.complete_token(key)
    with ThreadPoolExecutor(2) as clients:
        over = time.monotonic() + 2 + REVOKED_SECONDS + GRACE_SECONDS
        using = [clients.submit(use, site, revoked, over) for _ in range(2)]
        assert site.get(complete, revoked).status_code == 200
        time.sleep(2)
        assert site.request("DELETE", "/v0/api_keys/revoked", key).ok
        at = time.monotonic()
        answered = [call for each in using for call in each.result()]
    allowed = [began - at for began, status in answered if status == 200]
    assert {status for _, status in answered} == {200, 401}
    assert max(allowed) < REVOKED_SECONDS + GRACE_SECONDS / 2
    assert site.get(status("ct1_none"), revoked).status_code == 401
    assert site.get(complete, revoked).status_code == 200, "what it had been told, it may read again for a minute"
    assert site.get(f"{complete}&", revoked).status_code == 401


def use(site: Site, key: str, over: float) -> list[tuple[float, int]]:
    """When each request began, and how it was answered."""
    calls = []
    while (began := time.monotonic()) < over:
        calls.append((began, site.get(STATS, key).status_code))
        time.sleep(0.02)
    return calls


@pytest.mark.parametrize(
    ("segment", "name"), [("%22a%2Fb%2F%2Fc//d%22", "a/b//c//d"), ("%22A%2fb.c%20%2B%3F%22", "A/b.c +?"), ("T1", "t1")]
)
def test_a_tables_name_reaches_the_server_as_it_was_written(site: Site, key: str, segment: str, name: str) -> None:
    path = STATS.replace("orders", segment)
    assert site.report(key, 0, 1, 1, path).status_code == 201
    answers = [site.get(path, key) for _ in range(2)]
    assert [answer.json()["endpoint_name"] for answer in answers] == [f"{name}.billing"] * 2
    assert site.cache(answers[1]) == "HIT"


def test_slow_clients_do_not_hurt_fast_ones(site: Site, key: str) -> None:
    """Five hundred that send slowly, and go on doing so; the server has forty connections."""
    site.report(key, 0, 1, 1)
    head = f"PUT {STATS} HTTP/1.1\r\nHost: tidemark\r\nAuthorization: Bearer {key}\r\n".encode()
    body = head + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    with site.many(250, head) as heads, site.many(250, body) as bodies:
        paths = [STATS, "/v0/config", f"{CONNECTOR}/completion_token", "/v0/pipelines/demo/stats"] * 25
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda path: site.get(path, key), paths))
        assert site.unanswered([*heads, *bodies])
    assert {answer.status_code for answer in answers} == {200}


def test_a_request_has_one_id_in_both_logs(site: Site, tenant: str, key: str) -> None:
    answer = site.get("/v0/pipelines/demo/stats", key, X_Request_ID="f" * 32, X_Forwarded_For="192.0.2.7")
    assert answer.status_code == 404
    lines = [json.loads(line) for line in (site.directory / "server.log").read_text().splitlines()]
    (line,) = [line for line in lines if line.get("tenant") == tenant]
    assert line["request_id"] == site.logged(answer)["request_id"] == answer.headers["X-Request-ID"] != "f" * 32
    told = (line["route"], line["status"], line["client"], line["level"])
    assert told == ("/v0/pipelines/<pipeline>/stats", 404, "127.0.0.1", "debug")


def test_no_log_holds_a_key_or_a_token(site: Site, key: str) -> None:
    complete = site.complete_token(key)
    answer = site.get(complete, key)
    assert site.logged(answer)["path"] == "/v0/pipelines/demo/completion_status"
    for name in ("access.log", "error.log", "printed", "server.log"):
        written = (site.directory / name).read_text()
        assert key not in written
        assert complete.rpartition("ct1_")[2] not in written
