"""The pages of the list of all connectors: cursors, what changes between pages, ETags, and what is refused."""

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urljoin

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.client import Api, refused
from tests.api.conftest import MakeKey
from tests.api.fleet import DONE, FLEET, WAITS, names, path, report

SOME = [f"c{number}" for number in range(7)]


@pytest.fixture
def some(api: Api) -> Api:
    """A client whose tenant has seven connectors, of one rank."""
    for name in SOME:
        report(api, name, WAITS)
    return api


def page(api: Api, reference: str) -> tuple[list[str], str | None]:
    """The names on a page, and the reference to the next one."""
    response = api.get(urljoin(f"http://localhost{FLEET}", reference))
    assert response.status_code == 200, response.text
    document = response.get_json()
    links = requests.utils.parse_header_links(response.headers.get("Link", ""))
    assert links == ([{"url": document["next"], "rel": "next"}] if document["next"] else [])
    return [each["connector"] for each in document["connectors"]], document["next"]


def pages(api: Api, reference: str) -> list[list[str]]:
    found = []
    following: str | None = reference
    while following is not None:
        told, following = page(api, following)
        found.append(told)
    return found


def cursor_of(api: Api, query: str) -> str:
    """The cursor to the second page."""
    _, following = page(api, f"?{query}")
    assert following is not None
    (cursor,) = parse_qs(following[1:])["cursor"]
    return cursor


@pytest.mark.parametrize("limit", range(1, 9))
def test_pages_tell_every_connector_once_and_in_order(some: Api, limit: int) -> None:
    found = pages(some, f"?limit={limit}")
    assert [len(each) for each in found[:-1]] == [limit] * (len(found) - 1)
    assert 0 < len(found[-1]) <= limit
    assert [name for each in found for name in each] == SOME


def test_the_default_limit_is_a_hundred(api: Api) -> None:
    items = [{"table": "orders", "connector": f"c{number:03}", "if_match": 0} for number in range(101)]
    api.batch(*items)
    assert [len(each) for each in pages(api, "")] == [100, 1]
    assert [len(each) for each in pages(api, "?limit=1000")] == [101]


def test_the_next_page_has_the_same_filters(some: Api) -> None:
    report(some, "c7", DONE)
    query = (
        "?pipeline=demo&pipeline=other&lifecycle=running&lifecycle=removed&progress=moving&health=none"
        "&min_lag_records=2&min_lag_seconds=0.000001&name_prefix=orders.c&limit=3"
    )
    assert pages(some, query) == [SOME[:3], SOME[3:6], SOME[6:]]


def test_pages_go_on_across_ranks_pipelines_and_tables(api: Api) -> None:
    report(api, "x", table="%22ü%22", pipeline="z", fatal_error="gone")
    report(api, "a", table="%22'%20%5C%22")
    report(api, "a", pipeline="b")
    report(api, "b", WAITS, WAITS, WAITS, WAITS, pipeline="c")
    assert pages(api, "?limit=1") == [["x"], ["b"], ["a"], ["a"]]


def test_what_changes_between_pages_is_told_by_its_new_place(some: Api) -> None:
    """Who keeps its rank is told once; who is ranked before the cursor is missed, who after it may come again."""
    assert some.report({"fatal_error": "gone"}, 1, path("c6")).status_code == 204
    first, following = page(some, "?limit=3")
    assert first == ["c6", "c0", "c1"]
    assert some.report({"fatal_error": "gone"}, 1, path("c2")).status_code == 204  # before the cursor now
    assert some.report({"position": WAITS}, 2, path("c6")).status_code == 204  # behind it now
    some.remove(path("c3"))
    report(some, "c35", DONE)
    report(some, "c05", DONE)
    told = []
    while following is not None:
        more, following = page(some, following)
        told += more
    assert told == ["c35", "c4", "c5", "c6"]


def test_the_end_may_come_early(some: Api) -> None:
    _, following = page(some, "?limit=5")
    for name in SOME[5:]:
        some.remove(path(name))
    assert following is not None
    assert page(some, following) == ([], None)


def test_the_next_page_is_found_from_wherever_the_list_is_served(
    live_server: str, make_key: MakeKey, tenant: str, some: Api
) -> None:
    """Behind a proxy the server does not know its own address; what a client resolves is relative to what it asked."""
    response = requests.get(
        f"{live_server}{FLEET}?limit=4", headers={"Authorization": f"Bearer {make_key(tenant=tenant)}"}, timeout=10
    )
    reference = response.links["next"]["url"]
    assert urljoin("https://example.org/tidemark/v0/connectors?limit=4", reference).startswith(
        "https://example.org/tidemark/v0/connectors?limit=4&cursor="
    )
    following = requests.get(urljoin(response.url, reference), headers=response.request.headers, timeout=10)
    assert [each["connector"] for each in following.json()["connectors"]] == SOME[4:]


def test_a_cursor_is_for_its_filters_only(some: Api) -> None:
    cursor = cursor_of(some, "limit=2&progress=moving")
    assert names(some, progress="moving", cursor=cursor, limit=5) == SOME[2:], "the limit may change"
    for query in ({}, {"progress": ["moving", "idle"]}, {"progress": "moving", "pipeline": "demo"}):
        response = some.get(FLEET, query_string={"cursor": cursor, **query})
        assert refused(response, 400, "InvalidParam")["details"]["error"].startswith("cursor: ")


WRONG: tuple[tuple[Any, ...], ...] = (
    ("0" * 16, "", None),
    ("5", True, None, 5.0, -1, 10, 2**31, 10**40, 1e400, [], {}),
    ("", "a.b", "\0", "x" * 64, None, 1, ["demo"], {}),
    ("", "\0", "\ud800", "\ufffd", "x" * 256, None, 1),
    ("", "\0", "ü", "x" * 256, None, 1, {}),
)
"""Of each of a cursor's members, what it cannot be."""


def spoilt(cursor: str) -> list[str]:
    """What is nearly this cursor."""
    good = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    forged: list[Any] = [
        good[:-1],
        [*good, 1],
        good[:1],
        [],
        {},
        None,
        1,
        "x",
        {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5},
    ]
    for place, values in enumerate(WRONG):
        forged += [[*good[:place], value, *good[place + 1 :]] for value in values]
    texts = [json.dumps(each, separators=(",", ":")) for each in forged]
    texts += [json.dumps(good), json.dumps(good, separators=(",", ":")) + " ", "[" * 3000]
    encoded = [base64.urlsafe_b64encode(text.encode()).decode().rstrip("=") for text in texts]
    return [*encoded, cursor + "=", cursor + "A", cursor[:-1], f" {cursor}", cursor[::-1], cursor + "!", "_w", "A"]


def test_a_cursor_that_nobody_was_given_is_refused(some: Api) -> None:
    cursor = cursor_of(some, "limit=2")
    assert names(some, cursor=cursor) == SOME[2:]
    for each in spoilt(cursor):
        response = some.get(FLEET, query_string={"cursor": each})
        assert refused(response, 400, "InvalidParam")["details"]["error"].startswith("cursor: "), each


@given(st.text(st.sampled_from("ABCDefgh0123-_"), max_size=200) | st.binary(max_size=200).map(base64.urlsafe_b64encode))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_cursor_whatever_it_is_makes_the_server_fail(api: Api, cursor: str | bytes) -> None:
    assert api.get(FLEET, query_string={"cursor": cursor}).status_code == 400


def test_an_unchanged_answer_is_not_sent_again(some: Api) -> None:
    url = f"{FLEET}?lifecycle=failed"
    first = some.get(url)
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        response = some.get(url, headers={"If-None-Match": known})
        assert (response.status_code, response.get_data()) == (304, b"")
        assert (response.headers["ETag"], response.headers["Cache-Control"]) == (tag, "private, no-cache")
    for other in ('"x"', tag[:-2] + '"', ""):
        assert some.get(url, headers={"If-None-Match": other}).status_code == 200
    report(some, "bad", fatal_error="gone")
    changed = some.get(url, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["ETag"] != tag) == (200, True)


def test_the_etag_is_of_the_whole_answer(some: Api) -> None:
    answers: dict[str, bytes] = {}
    for limit in (*range(1, 9), 1, 2):
        response = some.get(FLEET, query_string={"limit": limit})
        assert answers.setdefault(response.headers["ETag"], response.get_data()) == response.get_data()
    assert len(answers) >= 8


def test_head_answers_the_headers_alone(some: Api) -> None:
    url = f"{FLEET}?lifecycle=failed"
    get, head = some.get(url), some.request("HEAD", url)
    assert (head.status_code, head.get_data()) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.headers[name] == get.headers[name]
    assert some.request("HEAD", f"{FLEET}?limit=2").headers["Link"].startswith("<?limit=2&cursor=")
    assert some.request("HEAD", f"{FLEET}?limit=x").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        *("colour=red", "Lifecycle=failed", "lifecycles=failed", "_=1", "=", "pipelines=demo", "offset=5"),
        *("lifecycle=", "lifecycle=Failed", "lifecycle=failed,paused", "lifecycle=failed&lifecycle=x", "progress=none"),
        *("progress=", "health=healthy", "health=", "health=null", "pipeline=", "pipeline=a.b", "pipeline=%00"),
        *("pipeline=a&pipeline=%FF", "min_lag_records=", "min_lag_records=-1", "min_lag_records=1.5"),
        *("min_lag_records=1&min_lag_records=2", "min_lag_records=" + "9" * 24, "min_lag_records=%D9%A1"),
        *("min_lag_records=1e3", "min_lag_records=%201", "min_lag_seconds=", "min_lag_seconds=-0.1"),
        *("min_lag_seconds=nan", "min_lag_seconds=inf", "min_lag_seconds=1e3", "min_lag_seconds=.5"),
        *("min_lag_seconds=" + "9" * 400, "name_prefix=", "name_prefix=%00", "name_prefix=a%00", "name_prefix=%0A"),
        *("name_prefix=%C2%85", "name_prefix=%EF%BF%BD", "name_prefix=" + "x" * 512, "name_prefix=a&name_prefix=b"),
        *("limit=", "limit=0", "limit=1001", "limit=-1", "limit=01", "limit=1.0", "limit=1&limit=1", "limit=%2B1"),
        *("limit=" + "9" * 400, "cursor=", "cursor=x", "cursor=%00", "cursor=&cursor=", "cursor=" + "A" * 5000),
    ],
)
def test_a_parameter_that_is_unknown_or_malformed_is_refused_by_its_name(api: Api, query: str) -> None:
    body = refused(api.get(f"{FLEET}?{query}"), 400, "InvalidParam")
    name = query.partition("=")[0]
    assert body["details"]["error"].startswith(f"{name}: ")
