"""Analysts read exactly their tenant, whichever way they ask, and can do nothing else."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.domain.connector import Report
from app.domain.names import Address, tenant_id
from app.domain.status import ConnectorError, ErrorKind, Status
from app.services.report import remove_connector
from app.store import analysts, roles
from app.store.access import TABLES
from app.store.engine import make_engine, transact
from app.store.partitions import ensure_partitions
from tests.roles import applied, connected, grant, owner
from tests.services.reporting import issue, report, send
from tests.store.packed import copy_observations, make_days, pack_days
from tests.tenants import add_tenant

TENANTS = ("acme", "umbrella")
PACKED = timedelta(days=10)  # before now are those observations that are
SECRET = "zirconium"  # in whatever text of umbrella's there is
VIEWS = (
    *("connector_current", "connector_history", "connector_hourly", "connector_daily", "connector_availability"),
    *("connector_event", "token", "token_latency", "pipeline_summary"),
)
CONFINED = sorted(table for table, access in TABLES.items() if access.analysts is not None)
ROLLUP = sa.text("""
    INSERT INTO connector_hourly
    SELECT id, date_trunc('hour', now()), now(), 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1,
           60, 0, 0, 0, 0, 60, 0, 0, 0, 60, 0, 3, 1, 1, 0.5, 0.5, 0.5, 0.5
      FROM connector""")


def fill(engine: sa.Engine, tenant: str) -> None:
    """Two pipelines with all that there can be of them. Acme's names are numbers; umbrella's are its secret."""
    with engine.begin() as connection:
        add_tenant(connection, tenant)
    secret = tenant == "umbrella"
    for number in range(2):
        name = f"{SECRET}-{number}" if secret else str(number)
        address = Address(tenant_id(tenant), name, name, name)
        error = ConnectorError(kind=ErrorKind.PARSE, tag=None, index=1, timestamp=datetime.now(UTC), message=name)
        for version in range(3):
            report(engine, address, version, received=9, completed=9 * number, errors=(error,), epoch=name)
        issue(engine, address, name)
        send(engine, address, Report(if_match=3, status=Status(fatal_error=name)), timedelta(0))
    gone = Address(tenant_id(tenant), name, "gone", name)
    report(engine, gone, 0, received=1, completed=1)
    transact(engine, lambda c: remove_connector(c, gone))


@pytest.fixture(scope="module")
def database(module_clone: str) -> Iterator[str]:
    """Both tenants' data and the roles."""
    ensure_partitions(module_clone, days_ahead=2)
    engine = make_engine(module_clone)
    for tenant in TENANTS:
        fill(engine, tenant)
    long_ago = datetime.now(UTC) - PACKED
    make_days(engine, long_ago.date(), long_ago.date() + timedelta(days=1))
    with engine.begin() as connection:
        copy_observations(connection, PACKED)
    engine.dispose()
    assert pack_days(module_clone, long_ago, long_ago + timedelta(days=2))
    with applied(module_clone):
        with owner(module_clone) as connection:
            connection.execute(ROLLUP)
            connection.exec_driver_sql("INSERT INTO connector_daily SELECT * FROM connector_hourly")
            connection.exec_driver_sql("ANALYZE")
        yield module_clone


@pytest.fixture(scope="module")
def acme(database: str) -> str:
    """The URL that acme's analyst connects with."""
    return grant(database, "acme", "acme")


@pytest.fixture(scope="module")
def umbrella(database: str) -> str:
    """The URL that umbrella's analyst connects with."""
    return grant(database, "umbrella", "umbrella")


@pytest.fixture
def open_schema(database: str) -> Iterator[None]:
    """As if somebody had let analysts into the schema with the tables, where row-level security is all that is left."""
    with owner(database) as connection:
        names = roles.installed(connection)
        assert names is not None
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {names.reporting}")
        yield
        connection.exec_driver_sql(f"REVOKE USAGE ON SCHEMA public FROM {names.reporting}")


def rows(url: str, query: str) -> list[Any]:
    with connected(url) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def refused(url: str, *statements: str) -> str:
    """What the last of the statements is refused with."""
    with connected(url) as connection:
        for statement in statements[:-1]:
            connection.exec_driver_sql(statement)
        with pytest.raises(DBAPIError) as error:
            connection.exec_driver_sql(statements[-1])
    return str(error.value.orig)


@pytest.mark.parametrize("view", VIEWS)
def test_of_each_view_an_analyst_reads_exactly_the_rows_of_his_tenant(
    database: str, acme: str, umbrella: str, view: str
) -> None:
    read = f"SELECT v::text FROM reporting.{view} AS v"
    ages = re.compile(r"\d+\.\d+")  # of what was read at another moment
    for tenant, url in (("acme", acme), ("umbrella", umbrella)):
        his = {ages.sub("", row) for (row,) in rows(url, read)}
        assert his == {ages.sub("", row) for (row,) in rows(database, f"{read} WHERE tenant = '{tenant}'")}
        assert his, "there are none to be read"
    assert set(rows(acme, f"SELECT tenant FROM reporting.{view}")) == {("acme",)}


@pytest.mark.usefixtures("open_schema")
@pytest.mark.parametrize("table", CONFINED)
def test_of_each_table_he_would_read_no_more(database: str, acme: str, umbrella: str, table: str) -> None:
    read = f"SELECT t::text FROM public.{table} AS t"
    everybody, first, second = (set(rows(url, read)) for url in (database, acme, umbrella))
    assert first | second <= everybody
    assert not first & second
    assert first
    assert SECRET not in str(first)
    if table != "tenant":  # of which one that nobody reads comes with the schema
        assert first | second == everybody


@pytest.mark.usefixtures("open_schema")
@pytest.mark.parametrize("table", sorted({*TABLES, "observation_default"} - {*CONFINED}))
def test_the_other_tables_he_reads_not_at_all(acme: str, table: str) -> None:
    assert f"permission denied for table {table}" in refused(acme, f"SELECT * FROM public.{table}")


def test_he_gets_at_no_table_but_through_a_view(acme: str) -> None:
    assert "permission denied for schema public" in refused(acme, "SELECT * FROM public.connector")


@pytest.mark.parametrize(
    "trick",
    [
        "SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', pipeline) FROM reporting.{view}')",
        "SELECT json_agg(v) FROM reporting.{view} AS v",
        "SELECT * FROM reporting.{view} WHERE 1 / (CASE WHEN tenant = 'acme' THEN 1 ELSE 0 END) = 1",
        "SELECT * FROM reporting.{view} WHERE CAST(pipeline AS int) >= 0",
        "SELECT CAST(pipeline AS int) FROM reporting.{view} ORDER BY 1 / length(pipeline)",
        "EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT * FROM reporting.{view} WHERE CAST(pipeline AS int) >= 0",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT min(pipeline), max(pipeline) FROM reporting.{view} WHERE pipeline > 'a'",
    ],
)
def test_functions_errors_and_plans_tell_nothing_of_others(acme: str, umbrella: str, trick: str) -> None:
    """A condition that fails for a row of umbrella's fails if it is but asked of it."""
    for view in VIEWS:
        assert SECRET not in str(rows(acme, trick.format(view=view)))
        if "CAST" in trick:
            assert SECRET in refused(umbrella, trick.format(view=view)), "the trick would have told"


@pytest.mark.usefixtures("open_schema")
@pytest.mark.parametrize("table", ["connector", "pipeline"])
def test_nor_do_they_of_tables(acme: str, umbrella: str, table: str) -> None:
    name = "table_name" if table == "connector" else "name"
    trick = f"SELECT * FROM public.{table} WHERE {name} <> 'gone' AND CAST({name} AS int) >= 0"
    assert rows(acme, trick)
    assert SECRET in refused(umbrella, trick)


def test_a_block_of_code_runs_as_he(acme: str) -> None:
    block = "DO $$ BEGIN PERFORM 1 / (CASE tenant WHEN 'acme' THEN 1 ELSE 0 END) FROM reporting.token; END $$"
    with connected(acme) as connection:
        connection.exec_driver_sql(block)


@pytest.mark.parametrize("catalogue", ["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"])
def test_statistics_tell_him_no_values(database: str, acme: str, catalogue: str) -> None:
    read = f"SELECT * FROM pg_catalog.{catalogue} WHERE schemaname IN ('public', 'reporting')"
    assert rows(acme, read) == []
    if catalogue == "pg_stats":
        assert SECRET in str(rows(database, read))
    assert "permission denied" in refused(acme, "SELECT * FROM pg_statistic")


@pytest.mark.usefixtures("open_schema")
def test_statistics_tell_him_no_values_of_tables_that_he_may_read(acme: str) -> None:
    assert rows(acme, "SELECT * FROM pg_stats WHERE schemaname = 'public'") == []


@pytest.mark.parametrize(
    "forbidden",
    [
        "CREATE TEMPORARY TABLE mine (x int)",
        "CREATE TABLE mine (x int)",
        "CREATE TABLE public.mine (x int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "UPDATE reporting.connector_current SET tenant = 'umbrella'",
        "DELETE FROM reporting.token",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_he_can_write_nothing_even_when_he_says_that_he_does(acme: str, forbidden: str) -> None:
    for hopes in ([], ["SET default_transaction_read_only = off", "COMMIT"]):
        told = refused(acme, *hopes, forbidden)
        assert re.search("permission denied|must be superuser|cannot (update|delete from) view|no schema", told) or (
            not hopes and "read-only" in told
        )


def test_he_can_be_nobody_else(database: str, acme: str, umbrella: str) -> None:
    with owner(database) as connection:
        names = roles.installed(connection)
    assert names is not None
    for role in (names.owner, names.app, sa.make_url(umbrella).username):
        assert "permission denied" in refused(acme, f"SET ROLE {role}")
    with connected(acme) as connection:
        connection.exec_driver_sql(f"SET ROLE {names.reporting}")
        assert connection.exec_driver_sql("SELECT * FROM reporting.connector_current").all() == []
    assert "row-level security" in refused(acme, "SET row_security = off", "SELECT * FROM reporting.connector_current")


def test_his_sessions_end_and_are_few(database: str, acme: str) -> None:
    with connected(acme) as connection:
        shown = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in analysts.SETTINGS}
    assert shown == analysts.SETTINGS | {"statement_timeout": "1min", "idle_in_transaction_session_timeout": "1min"}
    limit = f"SELECT rolconnlimit FROM pg_roles WHERE rolname = '{sa.make_url(acme).username}'"
    assert rows(database, limit) == [(analysts.CONNECTIONS,)]


def test_who_was_granted_what_analysts_are_but_is_none_reads_nothing(database: str) -> None:
    url = grant(database, "acme", "guest")
    assert rows(url, "SELECT * FROM reporting.connector_current")
    with owner(database) as connection:
        connection.exec_driver_sql(f"DELETE FROM analyst WHERE role = '{sa.make_url(url).username}'")
    for view in VIEWS:
        assert rows(url, f"SELECT * FROM reporting.{view}") == []


def test_who_is_revoked_reads_nothing_from_his_next_statement_on(database: str) -> None:
    url = grant(database, "acme", "leaver")
    name = sa.make_url(url).username or ""
    engine = make_engine(database)
    with connected(url) as connection:
        assert connection.exec_driver_sql("SELECT * FROM reporting.token").all()
        connection.rollback()
        transact(engine, lambda c: analysts.revoke(c, name))
        with pytest.raises(DBAPIError, match="permission denied"):
            connection.exec_driver_sql("SELECT * FROM reporting.token")
    with pytest.raises(roles.RoleRefused, match="no analyst"):
        transact(engine, lambda c: analysts.revoke(c, name))
    assert transact(engine, lambda c: analysts.grant(c, "umbrella", name)) is None, (
        "a role that is there has a password"
    )
    engine.dispose()


def test_who_is_gone_can_be_revoked(database: str) -> None:
    name = sa.make_url(grant(database, "acme", "gone")).username or ""
    with owner(database) as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {name}")
        connection.exec_driver_sql(f"DROP ROLE {name}")
    engine = make_engine(database)
    transact(engine, lambda c: analysts.revoke(c, name))
    engine.dispose()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        ("CREATE ROLE {role} SUPERUSER", "is a superuser"),
        ("CREATE ROLE {role} BYPASSRLS", "bypasses row-level security"),
        ("CREATE ROLE {role} NOINHERIT IN ROLE {strong}", "may make roles"),
        ("CREATE ROLE {role} IN ROLE {app}", "served by"),
        ("CREATE ROLE {role} IN ROLE {owner}", "owns tables"),
        ("CREATE ROLE {role} IN ROLE pg_execute_server_program", "reaches the server's files"),
        ("SELECT 1", "there is no tenant 'nobody'"),
    ],
)
def test_who_could_not_be_confined_is_refused(database: str, make: str, reason: str) -> None:
    with owner(database) as connection:
        names = roles.installed(connection)
        assert names is not None
        role = names.app.replace("app", "mighty")
        strong = names.app.replace("app", "strong")
        connection.exec_driver_sql(f"CREATE ROLE {strong} CREATEROLE")
        connection.exec_driver_sql(make.format(role=role, app=names.app, owner=names.owner, strong=strong))
    engine = make_engine(database)
    try:
        with pytest.raises(roles.RoleRefused, match=reason):
            transact(engine, lambda c: analysts.grant(c, "nobody" if make == "SELECT 1" else "acme", role))
        with engine.connect() as connection:
            assert role not in {row.role for row in analysts.read(connection)}
    finally:
        engine.dispose()
        with owner(database) as connection:
            connection.exec_driver_sql(f"DROP ROLE IF EXISTS {role}, {strong}")


@pytest.mark.parametrize("of", ["owner", "app", "reporting"])
def test_the_database_s_own_roles_are_no_analysts(database: str, of: str) -> None:
    engine = make_engine(database)
    with engine.connect() as connection:
        names = roles.installed(connection)
    with pytest.raises(roles.RoleRefused, match=r"served by|owns tables"):
        transact(engine, lambda c: analysts.grant(c, "acme", getattr(names, of)))
    engine.dispose()


def test_a_role_is_one_tenant_s(database: str, acme: str) -> None:
    engine = make_engine(database)
    with pytest.raises(roles.RoleRefused, match="another tenant's"):
        transact(engine, lambda c: analysts.grant(c, "umbrella", sa.make_url(acme).username or ""))
    engine.dispose()


def test_without_roles_nobody_is_granted_anything(engine: sa.Engine) -> None:
    with pytest.raises(roles.RoleRefused, match="tidemark db roles --apply"):
        transact(engine, lambda c: analysts.grant(c, "default", "ana"))


def plan(url: str, query: str) -> str:
    return "\n".join(line for (line,) in rows(url, f"EXPLAIN {query}"))


def test_a_range_of_time_is_looked_for_in_its_partitions_alone_and_connectors_are_looked_up_once(acme: str) -> None:
    day = datetime.now(UTC).date()
    for since in (f"'{day}'", "date_trunc('day', now(), 'UTC')"):
        until = f"'{day + timedelta(days=1)}'" if since.startswith("'") else f"{since} + interval '1 day'"
        query = f"SELECT * FROM reporting.connector_history WHERE recorded_at >= {since} AND recorded_at < {until}"
        found = plan(acme, f"(ANALYZE, COSTS OFF, TIMING OFF) {query}")
        scanned = {line for line in found.splitlines() if "never executed" not in line}
        assert set(re.findall(r" on (observation_\w*)", "\n".join(scanned))) == {f"observation_{day:%Y%m%d}"}, found
        assert "hashed SubPlan" in found


def test_tokens_of_a_time_are_looked_for_in_their_partitions_alone(acme: str) -> None:
    day = datetime.now(UTC).date()
    query = f"""
        SELECT count(*) FROM reporting.token
         WHERE token_id >= reporting.first_token('{day}')
           AND token_id < reporting.first_token('{day + timedelta(days=1)}')"""
    assert rows(acme, query) == [(2,)]
    found = plan(acme, f"(ANALYZE, COSTS OFF, TIMING OFF) {query}")
    assert set(re.findall(r" on (completion_token_\w*)", found)) == {f"completion_token_{day:%Y%m%d}"}, found
