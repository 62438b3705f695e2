"""docs/reporting.md: its questions are asked of the example week, as an analyst, and answered as it says."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from app.store.engine import make_engine
from tests import reporting_example
from tests.pages import DOCS
from tests.roles import applied, connected, grant

PAGE = (DOCS / "reporting.md").read_text()
QUESTIONS = re.findall(
    r"^### (\d+)\. (.*?)\n.*?```sql\n(.*?)```\n(?:\n```text\n(.*?)```)?", PAGE, re.DOTALL | re.MULTILINE
)


@pytest.fixture(scope="module")
def analyst(module_clone: str) -> Iterator[sa.Connection]:
    """A session of acme's analyst."""
    engine = make_engine(module_clone)
    reporting_example.fill(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()
    with applied(module_clone), connected(grant(module_clone, "acme", "analyst")) as connection:
        yield connection


def shown(value: Any) -> str:
    """As psql shows it, but for times, which are to the minute here."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:.15g}"
    return value.isoformat() if isinstance(value, date) else str(value)


def asked(analyst: sa.Connection, query: str) -> str:
    answer = analyst.exec_driver_sql(query.replace("%", "%%"))
    lines = [tuple(answer.keys()), *([shown(value) for value in row] for row in answer)]
    return "".join(" | ".join(line).rstrip() + "\n" for line in lines)


@pytest.mark.parametrize(("number", "question", "query", "answer"), QUESTIONS)
def test_a_question_is_answered_as_it_is_told(
    analyst: sa.Connection, number: str, question: str, query: str, answer: str
) -> None:
    assert asked(analyst, query) == answer, f"{number}. {question}"


def test_there_are_twenty_and_each_view_is_asked() -> None:
    assert [int(number) for number, *_ in QUESTIONS] == list(range(1, 21))
    used = set(re.findall(r"(?:FROM|JOIN) reporting\.(\w+)", " ".join(query for _, _, query, _ in QUESTIONS)))
    assert used == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_nothing_of_another_tenant_is_in_an_answer(analyst: sa.Connection) -> None:
    """Umbrella is a hundred times as busy; the deltas would tell."""
    most = "SELECT max(records_delta), max(tenant) FROM reporting.connector_daily"
    assert tuple(analyst.exec_driver_sql(most).one()) == (144_000, "acme")
