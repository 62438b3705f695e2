"""The documentation is run: its commands against the real server, its output compared, its snippets used."""

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from tests.pages import DOCS, blocks, play
from tests.serving import Server, serving

SESSIONS = {"reporting-an-engine": 16, "tokens": 12, "fleet": 9, "events": 11, "history": 9}
"""The pages with commands, and how many each has at least."""

_VOLATILE = re.compile(
    r'"(?:token|(?:recorded|issued)_at|waiting_since|(?:lag|report_age)_seconds|records_per_second|since|until|at|seconds|'
    r'completed_(?:after|by))": ?(?:"[^"]*"|[\d.]+)|about \d+ s|(?<=^id: ).*|(?<=^retry: ).*',
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("docs") / "var") as server:
        yield server


@pytest.mark.parametrize("page", SESSIONS)
def test_the_curl_session_goes_as_it_is_told(server: Server, page: str) -> None:
    played = [[_VOLATILE.sub("", output) for output in outputs] for outputs in play(page, server.base)]
    told, done = zip(*played, strict=True)
    assert done == told
    assert len(told) >= SESSIONS[page]


def test_the_python_loop_reports_and_measures_again_after_412(server: Server) -> None:
    (snippet,) = blocks("reporting-an-engine", "python")
    names: dict[str, Any] = {}
    exec(snippet, names)
    url = f"{server.base}/v0/pipelines/loop/tables/orders/connectors/billing/stats"
    measured = 0

    class Enough(Exception):
        pass

    def measure() -> dict[str, Any]:
        nonlocal measured
        measured += 1
        if measured == 3:  # somebody else is faster
            requests.put(url, json={}, headers={"If-Match": '"2"'}, timeout=10).raise_for_status()
        return {"position": {"received": measured, "completed": measured}}

    def sleep(seconds: float) -> None:
        if measured == 5:
            raise Enough

    names["time"] = SimpleNamespace(sleep=sleep)  # its own only: threads of other tests sleep, too
    with pytest.raises(Enough):
        names["report_for_ever"](url, measure)
    recorded = requests.get(url, timeout=10).json()["recorded"]
    assert (recorded["version"], recorded["received"]) == (5, 5)


def test_the_python_snippet_lists_every_connector_and_the_sql_sums_them_up(server: Server, engine: sa.Engine) -> None:
    (snippet,) = blocks("fleet", "python")
    names: dict[str, Any] = {}
    exec(snippet, names)
    items = [{"table": "t", "connector": f"c{number}", "if_match": 0} for number in range(5)]
    requests.post(f"{server.base}/v0/pipelines/listed/reports", json=items, timeout=10).raise_for_status()
    listed = names["connectors"](f"{server.base}/v0/connectors", pipeline="listed", limit=2)
    assert [each["connector"] for each in listed] == [each["connector"] for each in items]
    (query,) = blocks("fleet", "sql")
    with engine.connect() as connection:
        found = connection.execute(sa.text(query))
    assert list(found.keys()) == ["pipeline", "lifecycle", "progress", "count", "max"]


def test_links_between_pages_lead_somewhere() -> None:
    root = DOCS.parent
    for page in [root / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
