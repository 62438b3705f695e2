"""Parse and transport errors: which are kept, in what order, how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.client import Api

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
kinds = pytest.mark.parametrize("kind", ["parse_errors", "transport_errors"])


def error(index: int, tag: str | None = None, message: str = "m", seconds: float = 0) -> dict[str, Any]:
    """An error, so many seconds after noon."""
    at = (NOON + timedelta(seconds=seconds)).isoformat()
    return {"timestamp": at, "index": index, "tag": tag, "message": message}


def served(api: Api, kind: str) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = api.stats().get_json()[kind]
    return errors


def indexes(api: Api, kind: str) -> list[int]:
    return [each["index"] for each in served(api, kind)]


@kinds
def test_an_error_reported_again_is_kept_once(api: Api, kind: str) -> None:
    api.report({kind: [error(1), error(2)]}, 0)
    api.report({kind: [error(2), error(3)]}, 1)
    assert indexes(api, kind) == [1, 2, 3]


@kinds
def test_the_later_of_two_errors_of_one_index_stays(api: Api, kind: str) -> None:
    api.report({kind: [error(1, message="old")]}, 0)
    api.report({kind: [error(1, message="new", seconds=1)]}, 1)
    api.report({kind: [error(1, message="older", seconds=-1)]}, 2)
    assert [each["message"] for each in served(api, kind)] == ["new"]


@kinds
def test_errors_stay_when_a_report_brings_none(api: Api, kind: str) -> None:
    api.report({kind: [error(1)]}, 0)
    api.report({}, 1)
    assert indexes(api, kind) == [1]


@kinds
def test_errors_come_sorted_by_index_over_all_tags(api: Api, kind: str) -> None:
    api.report({kind: [error(3, "a"), error(1, "b"), error(2), error(10, "a")]}, 0)
    api.report({kind: [error(5, "b"), error(4, "a")]}, 1)
    assert indexes(api, kind) == [1, 2, 3, 4, 5, 10]


def test_the_two_kinds_are_kept_apart(api: Api) -> None:
    api.report({"parse_errors": [error(1, "t", "p")], "transport_errors": [error(1, "t", "t")]}, 0)
    assert [served(api, kind)[0]["message"] for kind in ("parse_errors", "transport_errors")] == ["p", "t"]


@kinds
def test_the_hundred_newest_of_a_tag_are_kept(api: Api, kind: str) -> None:
    api.report({kind: [error(n, tag, seconds=n) for n in range(1, 131) for tag in ("a", None)]}, 0)
    api.report({kind: [error(n, "a", seconds=n) for n in range(131, 151)] + [error(1, "b")]}, 1)
    kept = {tag: [each["index"] for each in served(api, kind) if each["tag"] == tag] for tag in ("a", "b", None)}
    assert kept == {"a": list(range(51, 151)), "b": [1], None: list(range(31, 131))}


@kinds
def test_an_engine_that_counts_from_one_again_replaces_its_older_errors(api: Api, kind: str) -> None:
    api.report({kind: [error(n, seconds=n, message="before") for n in range(1, 151)]}, 0)
    api.report({kind: [error(n, seconds=1000 + n, message="after") for n in range(1, 61)]}, 1)
    errors = served(api, kind)
    assert [each["index"] for each in errors if each["message"] == "after"] == list(range(1, 61))
    assert [each["index"] for each in errors if each["message"] == "before"] == list(range(111, 151))


@pytest.mark.parametrize("letter", ["x", "ü", "€", "🚆"])
def test_a_long_message_is_cut_in_its_middle_to_8_kib(api: Api, letter: str) -> None:
    message = "begin" + letter * 10_000 + "end"
    api.report({"parse_errors": [error(1, message=message)], "fatal_error": message}, 0)
    stats = api.stats().get_json()
    for cut in (stats["parse_errors"][0]["message"], stats["fatal_error"]):
        assert 8192 - 8 <= len(cut.encode()) <= 8192
        assert cut.startswith(f"begin{letter}")
        assert cut.endswith(f"{letter}end")
        assert len(set(cut) - set(message)) in (1, 2), "nothing but the mark is added"


def test_a_message_of_8_kib_stays_whole(api: Api) -> None:
    api.report({"parse_errors": [error(1, message="x" * 8192)]}, 0)
    assert served(api, "parse_errors")[0]["message"] == "x" * 8192
