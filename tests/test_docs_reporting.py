"""docs/reporting.md: its questions are asked of the example week, as an analyst, and answered as it says.

The example's days have partitions of their own, as they would have had then: a question looks at those of its time. And
all is asked once more when the observations of the week are packed.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.services import maintenance
from app.store.engine import make_engine
from app.store.packing import pack
from app.store.partitions import HOURS, OBSERVATIONS, TOKENS, make_partition
from tests import reporting_example
from tests.pages import DOCS, questions
from tests.reporting_example import MONDAY, SUNDAY
from tests.roles import applied, connected, grant, owner

RAW = sorted((Path(__file__).parent / "benchmarks" / "sql").glob("raw_*.sql"))
PAGE = (DOCS / "reporting.md").read_text()
QUESTIONS = questions()

DAYS = [date(2025, 2, 26) + timedelta(days=n) for n in range(14)]


def of_days(table: str, *days: int) -> set[str]:
    """The table's partitions of these days of March."""
    return {f"{table}_202503{day:02}" for day in days}


IN_MARCH = {"connector_hourly_202503"}
LOOKED_AT = {  # by question: the partitions that any of its time, or of what it asks for, may be in
    6: of_days("observation", 3, 4),
    7: of_days("observation", 4),
    8: IN_MARCH,
    9: IN_MARCH,
    10: IN_MARCH,
    11: of_days("completion_token", 3, 4, 5, 6, 7, 8, 9),
    12: of_days("completion_token", 3, 4, 5, 6, 7, 8, 9, 10, 11) | {"completion_token_default"},
    13: of_days("completion_token", 6) | of_days("observation", 6, 7, 8, 9, 10, 11) | {"observation_default"},
    20: IN_MARCH,
}
LOOKED_AT_PACKED = LOOKED_AT | {
    6: of_days("packed_observation", 3, 4) | {"observation_default"},  # where there may be late ones
    7: of_days("packed_observation", 4) | {"observation_default"},
    13: of_days("completion_token", 6) | of_days("packed_observation", 6),
}
OF_ONE_CONNECTOR = (6, 7, 8, 13, 20)
PARTITION = re.compile(
    r"(\w+) Scan[\w ]* on ((?:completion_token|observation|packed_observation|connector_hourly)_(?:\d+|default))(?!\w)"
)


@pytest.fixture(scope="module")
def week(module_clone: str) -> str:
    """The URL of a database with the example."""
    engine = make_engine(module_clone)
    with engine.begin() as connection:
        for table in (TOKENS, OBSERVATIONS, HOURS):
            for period in dict.fromkeys(table.period(day) for day in DAYS):
                make_partition(connection, table, period, in_use=False)
    reporting_example.fill(engine)
    engine.dispose()
    analyze(module_clone)
    return module_clone


@pytest.fixture(scope="module", params=[False, True], ids=["rows", "packed"])
def packed(week: str, request: pytest.FixtureRequest) -> bool:
    """Whether the week's observations are packed: first they are not, and then all is asked again."""
    if request.param:
        with maintenance._turn(week) as connection:
            assert connection is not None
            assert len(pack(connection, MONDAY, SUNDAY)) == 7
        analyze(week)
    return bool(request.param)


def analyze(url: str) -> None:
    with owner(url) as connection:
        connection.exec_driver_sql("ANALYZE")


@pytest.fixture(scope="module")
def analyst(week: str, packed: bool) -> Iterator[sa.Connection]:
    """A session of acme's analyst."""
    with applied(week), connected(grant(week, "acme", "analyst")) as connection:
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


@pytest.mark.parametrize("raw", RAW, ids=lambda file: file.stem)
def test_the_same_asked_of_observations_alone_is_answered_alike(analyst: sa.Connection, raw: Path) -> None:
    """What the benchmark compares questions with is the same question."""
    answers = {f"raw_{number}": answer for number, _, _, answer in QUESTIONS}
    assert asked(analyst, raw.read_text()) == answers[raw.stem]


def plan(connection: sa.Connection, query: str) -> list[str]:
    """The lines of what was executed."""
    lines = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}".replace("%", "%%")).scalars()
    return [line for line in lines if "never executed" not in line]


@pytest.mark.parametrize("number", LOOKED_AT)
@pytest.mark.parametrize("who", ["analyst", "owner"])
def test_a_question_looks_at_the_partitions_of_its_time_alone(
    analyst: sa.Connection, week: str, packed: bool, number: int, who: str
) -> None:
    """With row-level security as without; and at the connector's rows in them alone, if one is named."""
    query = {int(each): sql for each, _, sql, _ in QUESTIONS}[number]
    with owner(week) as connection:
        connection.exec_driver_sql("SET timezone = 'UTC'")
        found = plan(analyst if who == "analyst" else connection, query)
    looked_at = PARTITION.findall("\n".join(found))
    expected = LOOKED_AT_PACKED if packed else LOOKED_AT
    assert {partition for _, partition in looked_at} == expected[number], "\n".join(found)
    if number in OF_ONE_CONNECTOR:
        # Packed, a day is one page, which has no use for its key.
        ways = {way for way, partition in looked_at if not packed or partition.startswith("completion_token")}
        assert "Seq" not in ways, "\n".join(found)


def test_there_are_twenty_and_each_view_is_asked() -> None:
    assert [int(number) for number, *_ in QUESTIONS] == list(range(1, 21))
    used = set(re.findall(r"(?:FROM|JOIN) reporting\.(\w+)", " ".join(query for _, _, query, _ in QUESTIONS)))
    assert used == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_nothing_of_another_tenant_is_in_an_answer(analyst: sa.Connection) -> None:
    """Umbrella is a hundred times as busy; the deltas would tell."""
    most = "SELECT max(records_delta), max(tenant) FROM reporting.connector_daily"
    assert tuple(analyst.exec_driver_sql(most).one()) == (144_000, "acme")
