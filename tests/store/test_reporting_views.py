"""The schema `reporting` is an interface: its views, columns and types are those of the list beside this file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from hypothesis import given
from hypothesis.strategies import integers

FUNCTIONS = sa.text("""
    SELECT proname || '(' || pg_get_function_arguments(oid) || ') ' || pg_get_function_result(oid)
      FROM pg_proc
     WHERE pronamespace = 'reporting'::regnamespace""")
LISTED = (Path(__file__).parent / "reporting_columns.txt").read_text().splitlines()

COLUMNS = sa.text("""
    SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
      FROM pg_class AS c
      JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
     WHERE c.relnamespace = 'reporting'::regnamespace
     ORDER BY c.relname, a.attnum""")
UNEXPLAINED = sa.text("""
    SELECT c.relname || coalesce('.' || a.attname, '')
      FROM pg_class AS c
      LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum >= 0
     WHERE c.relnamespace = 'reporting'::regnamespace
       AND coalesce(col_description(c.oid, a.attnum), '') = '' OR coalesce(obj_description(c.oid, 'pg_class'), '') = ''
       AND c.relnamespace = 'reporting'::regnamespace""")


def test_the_columns_are_those_that_are_promised(engine: sa.Engine) -> None:
    """A column that is gone, or of another type, breaks the promise of docs/reporting.md; a new one joins the list."""
    with engine.connect() as connection:
        assert list(connection.scalars(COLUMNS)) == LISTED
        assert list(connection.scalars(FUNCTIONS)) == ["first_token(since timestamp with time zone) uuid"]


def test_every_view_and_column_is_explained(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert list(connection.scalars(UNEXPLAINED)) == []


@given(milliseconds=integers(0, 253_402_214_400_000), micros=integers(0, 999))
def test_the_first_token_of_a_time_is_the_least_of_its_millisecond(
    engine: sa.Engine, milliseconds: int, micros: int
) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds, microseconds=micros)
    with engine.connect() as connection:
        first = connection.scalars(sa.text("SELECT reporting.first_token(:at)"), {"at": at}).one()
    assert first.int == milliseconds << 80
