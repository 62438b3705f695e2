"""The twenty questions of docs/reporting.md, asked by an analyst of generated history, and some by observations too.

The questions' week, or month, is moved to end with the data, and the names of the page's example become generated ones.
``sql/raw_N.sql`` is question N asked of observations alone; make test holds that it gives the answer of the page.
"""

import re
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from app.store import schema
from app.store.engine import make_engine
from tests import pages, roles
from tests.benchmarks.measure import taking
from tests.benchmarks.observations import SQL, TENANT, add_connectors, add_happenings, fill, roll_up_all
from tests.reporting_example import SUNDAY

RAW = {int(file.stem.removeprefix("raw_")): file.read_text() for file in sorted(SQL.glob("raw_*.sql"))}
BY_ROLLUPS = frozenset(RAW) - {8}
"""Which of them rollups answer: those that go through the week of all connectors.

Question 8 names one connector and five hours, whose observations are found by their key as fast as their rollups are:
each in less than a millisecond. So both are told, but no share is asked for.
"""
LEAST_DAYS = 7  # of which most questions are
_WARM = 3
_NAMES = {  # of the page, and of the generated data
    "'shop'": "'p1'",
    "'logs'": "'p0'",
    "'users'": "'orders'",
    "'billing'": "'c1'",
    "'crm'": "'c11'",
    "'10 seconds'": "'300 seconds'",  # how far apart observations may be
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How long the answers to a question took, in seconds."""

    number: int
    rows: int
    first: float  # in a session that has asked nothing before
    warm: float  # the median of three more in that session
    raw: float | None  # of observations, when it was asked for the second time; None: not asked


def ask(url: str, days: int) -> list[Asked]:
    """Asks them of a database with so many days of observations up to yesterday, which gets its roles for that long."""
    engine = make_engine(url, timeout_seconds=60.0)
    add_happenings(engine, days)
    roll_up_all(engine, days)
    engine.dispose()
    today = datetime.now(UTC).date()
    with roles.applied(url):
        analyst = roles.grant(url, TENANT, "analyst")
        return [_ask(analyst, int(number), query, today) for number, _, query, _ in pages.questions()]


def ask_of_generated(server: str, days: int) -> list[Asked]:
    """Asks them of a database that is made for it on the server, and dropped again."""
    with _database(server) as url:
        engine = make_engine(url, timeout_seconds=60.0)
        add_connectors(engine)
        fill(engine, url, days)
        engine.dispose()
        return ask(url, days)


def _ask(analyst: str, number: int, query: str, today: date) -> Asked:
    rows, (first, *warm) = _answers(analyst, of_data(query, today), 1 + _WARM)
    assert rows, f"question {number} finds nothing"
    raw = None
    if number in RAW:
        same, (_, raw) = _answers(analyst, of_data(RAW[number], today), 2)
        assert same == rows, f"question {number} is answered otherwise by observations"
    return Asked(number=number, rows=len(rows), first=first, warm=statistics.median(warm), raw=raw)


def of_data(query: str, today: date) -> str:
    """The question as it is asked of data that end with yesterday."""
    dates = {each: date.fromisoformat(each) for each in re.findall(r"\d{4}-\d\d-\d\d", query)}
    ends_at = max([SUNDAY.date(), *dates.values()])
    meant = {each: (today - (ends_at - at)).isoformat() for each, at in dates.items()} | _NAMES
    return re.sub("|".join(map(re.escape, meant)), lambda found: meant[found[0]], query)


def _answers(analyst: str, query: str, times: int) -> tuple[set[tuple[Any, ...]], list[float]]:
    """What a new session is answered, and in how many seconds each time."""
    found = []
    with roles.connected(analyst) as connection:
        connection.exec_driver_sql("SET statement_timeout = '10min'")  # which an analyst may; observations need it
        for _ in range(times):
            with taking() as seconds:
                rows = connection.exec_driver_sql(query.replace("%", "%%")).all()
            found.append(seconds())
    return {tuple(row) for row in rows}, found


@contextmanager
def _database(server: str) -> Iterator[str]:
    """A database with the schema."""
    with roles.owner(server) as connection:
        connection.exec_driver_sql("CREATE DATABASE questions")
        try:
            url = sa.make_url(server).set(database="questions").render_as_string(hide_password=False)
            schema.upgrade(url)
            yield url
        finally:
            connection.exec_driver_sql("DROP DATABASE questions WITH (FORCE)")
