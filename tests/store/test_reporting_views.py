"""The schema `reporting` is an interface: its views, columns and types are those of the list beside this file."""

from pathlib import Path

import sqlalchemy as sa

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


def test_every_view_and_column_is_explained(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert list(connection.scalars(UNEXPLAINED)) == []
