"""Stats that are remembered as bytes say what they would say if they were made anew."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.api.renderings import Renderings
from app.api.stats_json import connector_stats, dump
from app.domain.names import Address, tenant_id
from app.store.engine import AnyRow, run
from app.store.status import StatsQuery, read_stats
from tests.api.client import FULL, Api
from tests.api.conftest import engine_of

Read = Callable[..., Any]


@pytest.fixture
def read(api: Api, tenant: str) -> Read:
    """Reads the row of a connector at the database."""

    def read(known: int = 0, connector: str = "billing") -> AnyRow:
        query = StatsQuery(Address(tenant_id(tenant), "demo", "orders", connector), known)
        (row,) = run(engine_of(api.app), lambda connection: read_stats(connection, [query]))
        assert not isinstance(row, Exception)
        return row

    return read


BODIES = {
    "neutral": {},
    "full": FULL,
    "healthy": {"health": {"status": "Healthy"}},
    "stale": {"interval_seconds": 0.001, "health": {"status": "Healthy"}},
    "a tricky text": {"fatal_error": '"health":null}, {', "health": {"status": "Unhealthy", "description": '","x'}},
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_rendering_is_what_the_row_says(api: Api, read: Read, kind: str) -> None:
    api.report(BODIES[kind], 0)
    row, renderings = read(), Renderings()
    rendering = renderings.keep(row)
    assert rendering.body(rendering.stale_for(row.now)) == dump(connector_stats(row))
    assert (rendering.stale_for(row.now) is not None) is (kind == "stale")
    assert renderings.get(row.id) is rendering


def test_of_a_known_version_only_that_much_is_told(api: Api, read: Read) -> None:
    api.report(FULL, 0)
    row = read(known=1)
    assert (row.version, row.pipeline_status, row.table_name, row.errors) == (1, "Running", None, None)
    assert read(known=2).table_name == "orders"


def test_an_answer_is_always_of_the_newest_version(api: Api) -> None:
    for version in range(5):
        api.report({"metrics": {"total_records": version}}, version)
        for _ in range(2):
            stats = api.stats().get_json()
            assert (stats["recorded"]["version"], stats["metrics"]["total_records"]) == (version + 1, version)
    api.remove()
    assert api.stats().status_code == 404
    api.report({"metrics": {"total_records": 9}}, 0)
    assert api.stats().get_json()["metrics"]["total_records"] == 9


def test_a_known_version_does_not_hide_a_stopped_pipeline(api: Api) -> None:
    api.report({}, 0)
    assert api.stats().status_code == 200
    api.set_pipeline("Stopped")
    assert api.stats().status_code == 503


def test_the_first_made_are_forgotten_when_there_are_too_many(api: Api, read: Read) -> None:
    names = [f"c{number}" for number in range(20)]
    api.batch(*({"table": "orders", "connector": name, "if_match": 0} for name in names))
    rows = [read(connector=name) for name in names]
    size = max(len(Renderings().keep(row)) for row in rows)
    renderings = Renderings(max_bytes=10 * size)
    for row in rows:
        renderings.keep(row)
        renderings.keep(row)
    kept = [renderings.get(row.id) is not None for row in rows]
    assert kept == [False] * 10 + [True] * 10
    assert renderings._bytes == sum(map(len, renderings._known.values())) <= 10 * size


def test_an_application_forgets_as_well(api: Api) -> None:
    """A process that remembers nothing answers the same."""
    api.report(FULL, 0)
    first = api.stats().get_data()
    api.app.extensions["tidemark"] = replace(api.app.extensions["tidemark"], renderings=Renderings(max_bytes=0))
    assert api.stats().get_data() == first == api.stats().get_data()
