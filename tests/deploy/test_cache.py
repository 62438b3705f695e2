"""What nginx keeps, for whom and for how long, told by a server that says when it is asked."""

import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.deploy.front import Front
from tests.deploy.upstream import COMPLETE, FRESH, NO_STORE, STATS, STATUS, Answer, Request, Upstream
from tests.serving import until

FRESH_SECONDS = 2.0  # X-Accel-Expires: 1 counts whole seconds of the clock
GONE_SECONDS = 3.1  # and so much later it is not even given while another request fetches the next


def given(answer: Answer) -> Callable[[Request], Answer]:
    return lambda _request: answer


def stats(_request: Request) -> Answer:
    return Answer(headers=(*FRESH, ("ETag", '"7"'), ("Content-Type", "application/json")))


def complete(_request: Request) -> Answer:
    return Answer(headers=COMPLETE)


def test_an_answer_is_given_again_until_it_expires_and_none_shows_how(server: Upstream, front: Front) -> None:
    server.answer = stats
    first = front.get(STATS)
    again = front.get(STATS)
    time.sleep(FRESH_SECONDS)
    later = front.get(STATS)
    assert [front.cache(answer) for answer in (first, again, later)] == ["MISS", "HIT", "EXPIRED"]
    assert [answer.text for answer in (first, again, later)] == ["1", "1", "2"]
    for answer in (first, again, later):
        assert "private, no-cache" in answer.headers["Cache-Control"]
        assert answer.headers["ETag"] == '"7"'
        assert not [name for name in answer.headers if name.lower().startswith("x-accel")]


def test_nothing_crosses_a_credential_a_tenant_a_host_or_a_query(server: Upstream, front: Front) -> None:
    server.answer = complete
    callers: list[tuple[str, str, dict[str, str]]] = [
        (STATUS, "tmk_one", {}),
        (STATUS, "tmk_two", {}),
        (STATUS, "", {}),
        (STATUS, "tmk_one", {"Feldera_Tenant": "acme"}),
        (STATUS, "tmk_one", {"Feldera_Tenant": "emca"}),
        (STATUS, "tmk_two", {"Feldera_Tenant": "acme"}),
        (STATUS, "tmk_one", {"Host": "other.example"}),
        (STATUS + "&", "tmk_one", {}),
        (STATUS.upper(), "tmk_one", {}),
    ]
    first = [front.get(path, key, **headers).text for path, key, headers in callers]
    again = [front.get(path, key, **headers).text for path, key, headers in callers]
    assert len(set(first)) == len(callers)
    assert again[:-1] == first[:-1]
    assert again[-1] != first[-1], "that path is none of those that are kept"


def test_the_server_sees_the_one_tenant_that_the_entry_is_kept_under(server: Upstream, front: Front) -> None:
    """Were it told of a second one, it could answer for that, and the answer be kept for the first."""
    server.answer = complete
    head = f"GET {STATUS} HTTP/1.1\r\nHost: tidemark\r\nConnection: close\r\n"
    assert front.exchange(f"{head}Feldera-Tenant: a\r\nFeldera-Tenant: b\r\n\r\n".encode()).startswith(b"HTTP/1.1 200")
    assert server.seen[0].headers.get_all("Feldera-Tenant") in (["a"], ["a, b"])  # the second since nginx 1.23
    assert front.exchange(f"{head}Authorization: a\r\nAuthorization: b\r\n\r\n".encode()).startswith(b"HTTP/1.1 400")
    assert len(server.seen) == 1


def test_nothing_but_a_200_is_kept_whatever_the_server_says(server: Upstream, front: Front) -> None:
    always = (("X-Accel-Expires", "60"),)
    for status in (202, 204, 301, 400, 401, 403, 404, 405, 409, 410, 422, 429, 500, 502, 503, 504):
        server.seen.clear()
        server.answer = given(Answer(status=status, headers=always))
        assert [front.get(STATUS).status_code for _ in range(2)] == [status] * 2
        assert len(server.seen) == 2, status


def test_nothing_is_kept_unless_the_server_says_so(server: Upstream, front: Front) -> None:
    silent: list[tuple[tuple[str, str], ...]] = [
        (),
        NO_STORE,
        (("Cache-Control", "max-age=60"),),
        (("Cache-Control", "public, s-maxage=60"),),
        (("Expires", "Fri, 01 Jan 2100 00:00:00 GMT"),),
        (("X-Accel-Expires", "0"),),
        (("X-Accel-Expires", "60"), ("Set-Cookie", "a=b")),
        (("X-Accel-Expires", "60"), ("Vary", "*")),
    ]
    for headers in silent:
        server.seen.clear()
        server.answer = given(Answer(headers=headers))
        assert [front.get(path).text for path in (STATS, STATS, STATUS, STATUS)] == ["1", "2", "3", "4"], headers


def test_what_is_in_progress_is_asked_again_and_what_is_complete_is_not(server: Upstream, front: Front) -> None:
    server.answer = lambda _request: Answer(status=202)
    assert [front.get(STATUS).text for _ in range(3)] == ["1", "2", "3"]
    server.answer = complete
    assert [front.get(STATUS).text for _ in range(3)] == ["4", "4", "4"]
    assert front.request("POST", STATUS).text == "5"


def test_who_asks_to_wait_is_always_answered_by_the_server(server: Upstream, front: Front) -> None:
    server.answer = complete
    assert [front.get(f"{STATUS}&wait=5").text for _ in range(2)] == ["1", "2"]
    assert [front.get(STATUS, Prefer="wait=5").text for _ in range(2)] == ["3", "4"]


def test_pages_of_different_origins_get_their_own(server: Upstream, front: Front) -> None:
    """Where CORS_ORIGINS is set, the server says that its answers vary with the origin."""

    def answer(request: Request) -> Answer:
        headers = ("Access-Control-Allow-Origin", request.headers.get("Origin", "none"))
        return Answer(headers=(*FRESH, ("Vary", "Origin"), headers))

    server.answer = answer
    for origin in ("https://a.example", "https://b.example", "https://a.example", "https://b.example"):
        assert front.get(STATS, Origin=origin).headers["Access-Control-Allow-Origin"] == origin
    assert len(server.seen) == 2


def test_no_other_path_is_kept(server: Upstream, front: Front) -> None:
    server.answer = complete
    paths = ["/", "/v0/config", "/v0/pipelines/demo/stats", STATS.replace("/stats", "/completion_token"), STATS + "/"]
    for path in paths:
        assert front.get(path).text != front.get(path).text, path


def test_head_is_answered_as_get_is_and_from_the_same_entry(server: Upstream, front: Front) -> None:
    server.answer = complete
    head, get, again = (front.request(method, STATUS) for method in ("HEAD", "GET", "HEAD"))
    assert [front.cache(answer) for answer in (head, get, again)] == ["MISS", "HIT", "HIT"]
    differing = {"X-Request-ID", "Date"}
    assert [
        {name: value for name, value in answer.headers.items() if name not in differing} for answer in (head, again)
    ] == [{name: value for name, value in get.headers.items() if name not in differing}] * 2
    assert (head.content, get.content, again.content) == (b"", b"1", b"")
    server.answer = lambda request: Answer(status=405 if request.method == "HEAD" else 200)
    assert front.request("HEAD", STATS.replace("/stats", "/completion_token")).status_code == 405


def test_a_condition_is_answered_by_nginx_and_a_writers_reaches_the_server(server: Upstream, front: Front) -> None:
    server.answer = stats
    front.get(STATS)
    unchanged = front.get(STATS, If_None_Match='"7"')
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", '"7"')
    assert front.get(STATS, If_None_Match='"6"').status_code == 200
    time.sleep(FRESH_SECONDS)
    assert front.get(STATS, If_None_Match='"7"').status_code == 304
    assert len(server.seen) == 2
    assert "If-None-Match" not in server.seen[1].headers
    front.request("PUT", STATS, If_Match='"7"')
    assert server.seen[2].headers["If-Match"] == '"7"'


def test_of_many_equal_requests_one_fetches_and_the_others_get_what_is_a_little_stale(
    server: Upstream, front: Front
) -> None:
    """Under load only one request at a time is at the server, and nobody waits for it but the first."""

    def slow(request: Request) -> Answer:
        time.sleep(0.5)
        return stats(request)

    server.answer = slow
    front.get(STATS)
    ends = time.monotonic() + 4
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(lambda _: hammer(front, ends), range(4)))
    until(lambda: len(front.log()) > 50, 10)
    kinds = {line["cache"] for line in front.log()}
    assert kinds >= {"HIT", "EXPIRED", "UPDATING"}
    assert len(server.seen) <= 6, "two in four seconds, and some more on a busy machine"


def test_nothing_is_given_that_is_older_than_the_server_allows(server: Upstream, front: Front) -> None:
    """`proxy_cache_use_stale updating` would give the old answer to all but the first here, however old it is."""
    server.answer = stats
    assert front.get(STATS).text == "1"
    time.sleep(GONE_SECONDS)
    hold = threading.Event()

    def held(request: Request) -> Answer:
        hold.wait(10)
        return stats(request)

    server.answer = held
    with ThreadPoolExecutor(5) as clients:
        waiting = [clients.submit(front.get, STATS) for _ in range(5)]
        until(lambda: len(server.seen) == 6, 10)
        hold.set()
        assert "1" not in [answer.result().text for answer in waiting]


def test_what_goes_wrong_is_never_covered_up_with_an_old_answer(server: Upstream, front: Front) -> None:
    """nginx takes stale-while-revalidate for stale-if-error, too, unless that is 0; and a 403 for an error."""
    paths = {
        status: STATS.replace("billing", f"billing{status}") for status in (401, 403, 404, 429, 500, 502, 503, 504)
    }
    server.answer = stats
    for path in paths.values():
        front.get(path)
    time.sleep(FRESH_SECONDS)
    server.answer = lambda request: Answer(status=next(status for status in paths if paths[status] == request.path))
    assert [front.get(path).status_code for path in paths.values()] == list(paths)


def test_the_first_of_many_equal_requests_goes_alone_and_the_others_hardly_wait(server: Upstream, front: Front) -> None:
    def brief(request: Request) -> Answer:
        time.sleep(0.05)
        return stats(request)

    server.answer = brief
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: front.get(STATS).text, range(8)))
    assert len(server.seen) < 8
    assert len(set(answers)) == len(server.seen)


def test_nobody_but_nginx_can_read_what_is_kept(server: Upstream, front: Front) -> None:
    """The credential is in there: nginx writes the key of an entry into its file."""
    server.answer = complete
    front.get(STATUS)
    cache = front.directory / "cache"
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert b"tmk_one" in files[0].read_bytes()
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def hammer(front: Front, ends: float) -> None:
    while time.monotonic() < ends:
        assert front.get(STATS).status_code == 200
        time.sleep(0.02)
