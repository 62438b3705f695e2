"""Reports with bad fields: 422, the field named, nothing changed."""

import json
from typing import Any

import pytest

from app.domain.status import MAX_METADATA, MAX_METADATA_DEPTH
from tests.api.client import FULL, Api, changed, refused
from tests.api.conftest import Unchanged

NOT_TEXT: list[Any] = [1, 1.5, True, [], {}]
NOT_OBJECTS: list[Any] = [7, "x", True, []]
NOT_FLAGS: list[Any] = [None, 0, 1, "true", 1.0, [], {}]
NOT_COUNTS: list[Any] = [None, True, False, "7", "", 1.0, 1.5, -1, 2**63, 10**400, [], {}]
NOT_TIMES: list[Any] = [
    *(None, 1, True, [], {}, "", "yesterday", "2026-01-31", "12:00:00Z", "2026-01-31T12:00:00", "1769860800"),
    *("2026-02-30T12:00:00Z", "2025-02-29T12:00:00Z", "2026-13-01T12:00:00Z", "2026-01-31T25:00:00Z"),
    *("0000-01-01T00:00:00Z", "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01", "2026-01-31T12:00:00+99:00"),
    *("2026-01-31T12:00:00.1234567Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00Z\n", "２026-01-31T12:00:00Z"),
]
NOT_OFFSETS: list[Any] = ["7", "", True, 1.0, 1.5, -1, 2**63, 10**400, [], [1]]
NOT_POSITIONS: list[Any] = [
    *NOT_OFFSETS,
    *({"0": bad} for bad in (*NOT_OFFSETS, None, {})),
    *({name: 1} for name in ("", "x" * 256, "a\n", "a\x7f", "\N{RIGHT-TO-LEFT OVERRIDE}")),
    {str(component): 1 for component in range(2049)},
]


def nested(depth: int) -> Any:
    """Arrays and objects in turn within each other."""
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


BAD: dict[str, list[Any]] = {
    "position": NOT_OBJECTS,
    "position.epoch": ["", "x" * 256, *NOT_TEXT],
    "position.received": [None, {}, *NOT_POSITIONS],
    "position.completed": NOT_POSITIONS,
    "recording": [None, "", "SAMPLED", "synchron", *NOT_TEXT],
    "interval_seconds": [True, "1", "", 0, 0.0, -1, 86401, 10**400, [], {}],
    "metrics": [None, *NOT_OBJECTS],
    "metrics.end_of_input": NOT_FLAGS,
    "fatal_error": NOT_TEXT,
    "parse_errors": [None, {}, "x", 7, True],
    "transport_errors": [None, {}, "x", 7, True],
    "health": NOT_OBJECTS,
    "health.status": [None, "", "healthy", "Degraded", *NOT_TEXT],
    "health.description": ["x" * 8193, *NOT_TEXT],
    "paused": NOT_FLAGS,
    "barrier": NOT_FLAGS,
    "completed_frontier": NOT_OBJECTS,
    "completed_frontier.metadata": [
        "x" * (MAX_METADATA - 1),  # and two quotes
        ["🚆" * (MAX_METADATA // 4)],
        nested(MAX_METADATA_DEPTH + 1),
        [1e300] * 1000,
        [-1e-300] * 1000,
    ],
}
for counter in set(FULL["metrics"]) - {"end_of_input"}:
    BAD[f"metrics.{counter}"] = NOT_COUNTS
for moment in ("ingested_at", "processed_at", "completed_at"):
    BAD[f"completed_frontier.{moment}"] = NOT_TIMES
for kind in ("parse_errors", "transport_errors"):
    BAD[f"{kind}.0"] = [None, *NOT_OBJECTS]
    BAD[f"{kind}.0.timestamp"] = NOT_TIMES
    BAD[f"{kind}.0.index"] = [0, *NOT_COUNTS]
    BAD[f"{kind}.0.tag"] = ["", "x" * 256, *NOT_TEXT]
    BAD[f"{kind}.0.message"] = [None, *NOT_TEXT]

MISSING = [
    *("position.received", "position.completed", "health.status"),
    *(f"completed_frontier.{name}" for name in FULL["completed_frontier"]),
    *(
        f"{kind}.0.{name}"
        for kind in ("parse_errors", "transport_errors")
        for name in ("timestamp", "index", "message")
    ),
]
OBJECTS = ["", "position.", "metrics.", "health.", "completed_frontier.", "parse_errors.0.", "transport_errors.0."]


@pytest.fixture
def api(api: Api) -> Api:
    """A client whose tenant has a connector at version 1, with errors, a position and a token."""
    assert api.report(FULL, 0).status_code == 201
    assert api.token()
    return api


def leaves(document: Any, path: str = "") -> set[str]:
    """The paths of all members of a document, at any depth."""
    if isinstance(document, list):
        return leaves(document[0], f"{path}.0") if document else set()
    if not isinstance(document, dict):
        return set()
    paths = {f"{path}.{name}".lstrip(".") for name in document}
    return paths.union(*(leaves(value, f"{path}.{name}".lstrip(".")) for name, value in document.items()))


def test_every_field_is_among_the_cases() -> None:
    own = {path for path in leaves(FULL) if not path.startswith(("position.received.", "position.completed."))}
    assert {path for path in own if not path.startswith("completed_frontier.metadata.")} <= BAD.keys()


@pytest.mark.parametrize("path", sorted(BAD))
def test_a_wrong_value_is_refused_by_name(api: Api, unchanged: Unchanged, path: str) -> None:
    with unchanged():
        for value in BAD[path]:
            body = refused(api.report(changed(FULL, path, value), 1), 422, "InvalidReport")
            assert path in body["message"], (value, body)
            assert is_named(body["details"], path), (value, body)


@pytest.mark.parametrize("path", MISSING)
def test_a_missing_field_is_refused_by_name(api: Api, unchanged: Unchanged, path: str) -> None:
    without = changed(FULL, path, None)
    parent, _, name = path.rpartition(".")
    del at(without, parent)[name]
    with unchanged():
        body = refused(api.report(without, 1), 422, "InvalidReport")
    assert path in body["message"]
    assert is_named(body["details"], path)


@pytest.mark.parametrize("prefix", OBJECTS)
@pytest.mark.parametrize("name", ["positon", "", "_schema", "Zürich", "x" * 1000, "a.b", "0"])
def test_an_unknown_field_is_refused_by_name(api: Api, unchanged: Unchanged, prefix: str, name: str) -> None:
    unknown = changed(FULL, f"{prefix}?", 1)
    parent = at(unknown, prefix.rstrip("."))
    parent[name] = parent.pop("?")
    with unchanged():
        body = refused(api.report(unknown, 1), 422, "InvalidReport")
    assert at(body["details"], prefix.rstrip("."))[name] == ["Unknown field."]


def test_all_bad_fields_are_named_at_once(api: Api) -> None:
    bad = changed(changed(changed(FULL, "paused", 1), "metrics.total_bytes", -1), "parse_errors.1.index", 0)
    body = refused(api.report(bad, 1), 422, "InvalidReport")
    assert body["details"].keys() == {"paused", "metrics", "parse_errors"}
    assert all(path in body["message"] for path in ("paused", "metrics.total_bytes", "parse_errors.1.index"))


@pytest.mark.parametrize("kind", ["parse_errors", "transport_errors"])
def test_two_errors_of_one_tag_and_index_are_refused(api: Api, unchanged: Unchanged, kind: str) -> None:
    error = {"timestamp": "2026-01-31T12:00:00Z", "index": 1, "message": "m"}
    with unchanged():
        body = refused(api.report({kind: [error, error | {"tag": None}]}, 1), 422, "InvalidReport")
    assert list(body["details"]) == [kind]


@pytest.mark.parametrize("kind", ["parse_errors", "transport_errors"])
def test_more_errors_than_a_report_may_bring_are_refused(api: Api, unchanged: Unchanged, kind: str) -> None:
    errors = [{"timestamp": "2026-01-31T12:00:00Z", "index": index, "message": "m"} for index in range(1, 1002)]
    with unchanged():
        body = refused(api.report({kind: errors}, 1), 422, "InvalidReport")
    assert list(body["details"]) == [kind]


@pytest.mark.parametrize(("received", "completed"), [(100, {"0": 100}), ({"0": 100}, 100), (0, {"0": 0})])
def test_a_completed_position_that_could_never_reach_the_received_one_is_refused(
    api: Api, unchanged: Unchanged, received: Any, completed: Any
) -> None:
    with unchanged():
        body = refused(api.position(received, completed, 1, "run-2"), 422, "InvalidReport")
    assert is_named(body["details"], "position.completed")


@pytest.mark.parametrize("body", [None, True, 1, "x", [], [FULL]])
def test_a_report_that_is_no_object_is_refused(api: Api, unchanged: Unchanged, body: Any) -> None:
    with unchanged():
        refused(api.put(json.dumps(body)), 422, "InvalidReport")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("position.received", {"0": 2**63 - 1, "1": 2**63 - 1}),
        ("position.received", {str(component): 100 for component in range(2048)}),
        ("position.received", {"0": 100, "1": 90, "x" * 255: 0, "Zürich 🚆": 7}),
        ("position.completed", {}),
        ("position.completed", None),
        ("interval_seconds", None),
        ("interval_seconds", 1e-300),
        ("interval_seconds", 86400),
        ("metrics.total_records", 2**63 - 1),
        ("metrics.processing_latency_p99_micros", 0),
        ("fatal_error", ""),
        ("fatal_error", "\N{REPLACEMENT CHARACTER}\x01🚆" * 5000),
        ("health.description", None),
        ("health", None),
        ("parse_errors", []),
        ("parse_errors.0.index", 2**63 - 1),
        ("parse_errors.0.timestamp", "0001-01-01T00:00:00Z"),
        ("parse_errors.0.timestamp", "9999-12-31T23:59:59.999999Z"),
        ("completed_frontier", None),
        ("completed_frontier.metadata", None),
        ("completed_frontier.metadata", "x" * (MAX_METADATA - 2)),
        ("completed_frontier.metadata", nested(MAX_METADATA_DEPTH)),
        ("completed_frontier.metadata", [0.1, 1e15] * 10_000),
        ("completed_frontier.metadata", [1.5, -1e300, 10**300, True, {"": {"a": ["\N{REPLACEMENT CHARACTER}"]}}]),
        ("completed_frontier.ingested_at", "2026-01-31t12:00:00.5z"),
    ],
)
def test_values_at_the_edge_are_accepted_and_served(api: Api, path: str, value: Any) -> None:
    assert api.report(changed(FULL, path, value), 1).status_code == 204
    assert api.stats().get_json()["recorded"]["version"] == 2


def at(document: Any, path: str) -> Any:
    """What stands at the dotted path."""
    for part in path.split(".") if path else ():
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def is_named(details: Any, path: str) -> bool:
    """Whether the details lead to a message for the field at the path."""
    try:
        return bool(at(details, path))
    except (KeyError, TypeError):
        return False
