"""Names (contract, "Names"): which spellings are one connector, and which are not."""

import uuid
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.api.client import PIPELINE, Api, refused

# Each table's spellings in a URL, the name it has in endpoint_name and the one it has in config.stream.
TABLES: list[tuple[list[str], str, str]] = [
    (["numbers1", "Numbers1", "NUMBERS1", "%22numbers1%22", '"numbers1"', "n%75mbers1"], "numbers1", "numbers1"),
    (["%22Numbers1%22", '"Numbers1"'], "Numbers1", '"Numbers1"'),
    (["%22NUMBERS1%22"], "NUMBERS1", '"NUMBERS1"'),
    (
        ['"numbers +C0_-,.!%25()&/"', quote('"numbers +C0_-,.!%()&/"', safe="")],
        "numbers +C0_-,.!%()&/",
        '"numbers +C0_-,.!%()&/"',
    ),
    (["my.input.table", "%22my.input.table%22", "My.Input.Table"], "my.input.table", "my.input.table"),
    (["%22My.Input.Table%22"], "My.Input.Table", '"My.Input.Table"'),
    (["my", "MY"], "my", "my"),
    (["a/b", "A%2Fb", "%22a/b%22"], "a/b", "a/b"),
    (["a//b", "a%2F%2Fb", "a/%2Fb"], "a//b", "a//b"),
    (["%22/a/%22", "%22%2Fa%2F%22"], "/a/", "/a/"),
    (["a%252Fb"], "a%2fb", "a%2fb"),
    (["a+b", "a%2Bb"], "a+b", "a+b"),
    (["a%20b", "a b", "%22a%20b%22"], "a b", "a b"),
    (["%20a"], " a", " a"),
    (["a.", "A."], "a.", "a."),
    ([".a"], ".a", ".a"),
    (["%22...%22"], "...", "..."),
    (["a%3Fb"], "a?b", "a?b"),
    (["a%23b"], "a#b", "a#b"),
    (["a;b=c", "a%3Bb%3Dc"], "a;b=c", "a;b=c"),
    (["%C3%9Cber", "%c3%bcber", "über"], "über", "über"),
    (["%22%C3%9Cber%22"], "Über", '"Über"'),
    (["%22a%22b%22", "a%22b"], 'a"b', 'a"b'),
    (["%22%22a%22%22"], '"a"', '"a"'),
    (["%22"], '"', '"'),
    (["%22%22%22"], '"', '"'),
    (["a/connectors/b", "%22a/connectors/b%22"], "a/connectors/b", "a/connectors/b"),
    (["a/connectors/b/stats"], "a/connectors/b/stats", "a/connectors/b/stats"),
    (["x" * 255], "x" * 255, "x" * 255),
    (["%F0%9F%9A%86" * 255], "\N{TRAIN}" * 255, "\N{TRAIN}" * 255),
]


def connector(table: str, name: str = "c") -> str:
    return f"{PIPELINE}/tables/{table}/connectors/{name}"


@pytest.mark.parametrize(("spellings", "name", "stream"), TABLES, ids=[spellings[0] for spellings, _, _ in TABLES])
def test_all_spellings_of_a_table_are_one(api: Api, spellings: list[str], name: str, stream: str) -> None:
    assert api.position(1, 1, 0, connector=connector(spellings[0])).status_code == 201
    for version, spelling in enumerate(spellings, start=1):
        stats = api.stats(connector(spelling)).get_json()
        assert (stats["endpoint_name"], stats["config"]) == (f"{name}.c", {"stream": stream})
        assert api.position(1, 1, version, connector=connector(spelling)).status_code == 204
        assert api.check(api.token(connector(spelling))).status_code == 202
    assert api.remove(connector(spellings[-1])).status_code == 204
    refused(api.stats(connector(spellings[0])), 404, "UnknownInputEndpoint")


def test_no_two_tables_are_one(api: Api) -> None:
    distinct = {name: spellings[0] for spellings, name, _ in TABLES}
    for spelling in distinct.values():
        assert api.report({}, 0, connector(spelling)).status_code == 201
    names = [each["endpoint_name"] for each in api.get(f"{PIPELINE}/stats").get_json()["inputs"]]
    assert names == sorted(f"{name}.c" for name in distinct)


def test_tables_and_connectors_that_share_an_endpoint_name_are_two(api: Api) -> None:
    api.report({"metrics": {"total_records": 1}}, 0, connector("a.b", "c"))
    api.report({"metrics": {"total_records": 2}}, 0, connector("a", "b.c"))
    both = [api.stats(connector("a.b", "c")).get_json(), api.stats(connector("a", "b.c")).get_json()]
    assert [each["endpoint_name"] for each in both] == ["a.b.c", "a.b.c"]
    assert [each["metrics"]["total_records"] for each in both] == [1, 2]


@pytest.mark.parametrize("name", ["c", "C", "a.b", "-", "_", ".", "...", "stats", "completion_token", "7", "x" * 255])
def test_connector_names_are_taken_as_they_are(api: Api, name: str) -> None:
    assert api.position(1, 1, 0, connector=connector("orders", name)).status_code == 201
    assert api.stats(connector("orders", name)).get_json()["endpoint_name"] == f"orders.{name}"
    assert api.issue(connector("orders", name)).status_code == 200
    other = name.swapcase()
    assert api.stats(connector("orders", other)).status_code == (200 if other == name else 404)
    assert api.remove(connector("orders", name)).status_code == 204


@pytest.mark.parametrize("name", ["p", "P", "stats", "reports", "-", "_", "0", "x" * 63])
def test_pipeline_names_are_taken_as_they_are(api: Api, name: str) -> None:
    assert api.set_pipeline("Paused", f"/v0/pipelines/{name}").status_code == 201
    assert api.get(f"/v0/pipelines/{name}").get_json()["name"] == name
    other = name.swapcase()
    assert api.get(f"/v0/pipelines/{other}").status_code == (200 if other == name else 404)


def test_the_same_names_in_two_tenants_are_two(api: Api, make_api: Callable[..., Api]) -> None:
    other = make_api(tenant=uuid.uuid4().hex)
    assert api.position(5, 5, 0).status_code == 201
    refused(other.stats(), 404, "UnknownPipelineName")
    assert other.get("/v0/pipelines").get_json() == []
    assert other.position(7, 7, 0).status_code == 201
    assert [each.stats().get_json()["recorded"]["received"] for each in (api, other)] == [5, 7]
    assert other.remove().status_code == 204
    assert api.stats().status_code == 200
    pipelines = [each.get(PIPELINE).get_json()["id"] for each in (api, other)]
    assert pipelines[0] != pipelines[1]
    assert "endpoint=" not in other.get("/v0/metrics").text
