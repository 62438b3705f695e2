"""The database roles: what the catalogue says that they may do, and that the app can do its work and no more."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, ProgrammingError

from app.config import Config
from app.domain.connector import Report
from app.domain.names import Address, tenant_id
from app.domain.roles import Role, command_line
from app.domain.status import ConnectorError, ErrorKind
from app.services.keys import create_key, revoke_key, rotate_key
from app.services.maintenance import Plan, maintain
from app.services.report import remove_connector
from app.services.tenants import ensure_tenant
from app.store import health, roles, schema, status
from app.store.access import TABLES, VIEWS
from app.store.engine import make_engine, run, statement, transact
from app.store.partitions import ensure_partitions
from tests.roles import PASSWORD, applied, connected, drop, grant, login, owner
from tests.services.reporting import check_token, issue, report, send
from tests.store.packed import make_days

ADDRESS = Address(tenant_id("default"), "demo", "orders", "billing")

# Everything that somebody other than a relation's owner may do with it; PUBLIC is ''.
GRANTED = sa.text("""
    SELECT n.nspname || '.' || c.relname AS relation, c.relispartition AS partition,
           coalesce(r.rolname, '') AS role, string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS privileges
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL aclexplode(c.relacl) AS a
      LEFT JOIN pg_roles AS r ON r.oid = a.grantee
     WHERE n.nspname IN ('public', 'reporting') AND a.grantee <> c.relowner
     GROUP BY 1, 2, 3""")
COLUMNS_GRANTED = "SELECT count(*) FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid >= 16384"
POLICIES = sa.text("""
    SELECT tablename, policyname, permissive, CAST(roles AS text[]), cmd, qual, with_check
      FROM pg_policies ORDER BY 1, 2""")
UNFORCED = """
    SELECT relname FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
       AND NOT (relrowsecurity AND relforcerowsecurity)"""
TABLES_THERE = """
    SELECT relname FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"""
NOT_FOR_THE_INVOKER = """
    SELECT relname FROM pg_class
     WHERE relnamespace IN ('public'::regnamespace, 'reporting'::regnamespace) AND relkind = 'v'
       AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)"""
OPEN_TO_TRICKS = """
    SELECT relname FROM pg_class
     WHERE relnamespace = 'reporting'::regnamespace
       AND NOT (relkind = 'v' AND coalesce('security_barrier=true' = ANY (reloptions), false))"""
BY_SOMEBODY_ELSE = """
    SELECT CAST(oid AS regprocedure) FROM pg_proc
     WHERE prosecdef AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"""
MATERIALISED = "SELECT relname FROM pg_class WHERE relkind = 'm'"
SETTINGS = """
    SELECT unnest(setconfig) FROM pg_db_role_setting
     WHERE setrole = CAST(:role AS regrole)
       AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@pytest.fixture(scope="module")
def database(module_clone: str) -> Iterator[tuple[str, roles.Names]]:
    """A database with its roles, and its URL."""
    ensure_partitions(module_clone, days_ahead=1)
    with applied(module_clone) as names:
        yield module_clone, names


@pytest.fixture(scope="module")
def app(database: tuple[str, roles.Names]) -> Iterator[sa.Engine]:
    """The app's engine."""
    url, names = database
    engine = make_engine(login(url, names.app))
    yield engine
    engine.dispose()


def told(url: str, query: str, **parameters: Any) -> list[Any]:
    with owner(url) as connection:
        return list(connection.scalars(sa.text(query), parameters))


def test_every_table_is_thought_of(database: tuple[str, roles.Names]) -> None:
    """Whoever adds a table says in app/store/access.py who may do what with it."""
    assert sorted(told(database[0], TABLES_THERE)) == sorted(TABLES)


def test_everybody_may_do_what_is_listed_and_no_more(database: tuple[str, roles.Names]) -> None:
    url, names = database
    listed = {f"public.{table}": (access.app, access.analysts is not None) for table, access in TABLES.items()}
    listed |= {f"public.{view}": ("SELECT", True) for view in VIEWS}
    listed |= {
        f"reporting.{view}": ("", True)
        for view in told(url, "SELECT viewname FROM pg_views WHERE schemaname = 'reporting'")
    }
    wanted = {(relation, names.app, privileges) for relation, (privileges, _) in listed.items() if privileges}
    wanted |= {(relation, names.reporting, "SELECT") for relation, (_, analysts) in listed.items() if analysts}
    with owner(url) as connection:
        granted = connection.execute(GRANTED).all()
    assert {(row.relation, row.role, row.privileges) for row in granted} == wanted
    assert not any(row.partition for row in granted)
    assert told(url, COLUMNS_GRANTED) == [0]


def test_every_row_is_behind_a_policy(database: tuple[str, roles.Names]) -> None:
    url, names = database
    assert told(url, UNFORCED) == []
    with owner(url) as connection:
        policies = {(row.tablename, row.policyname): row for row in connection.execute(POLICIES)}
    confined = [table for table, access in TABLES.items() if access.analysts is not None]
    assert policies.keys() == {(t, name) for t in TABLES for name in ("owner", "app")} | {
        (t, "analyst") for t in confined
    }
    for (table, name), policy in policies.items():
        role = {"owner": names.owner, "app": names.app, "analyst": names.reporting}[name]
        assert policy.roles == [role]
        if name == "analyst":
            assert (policy.cmd, "CURRENT_USER" in policy.qual) == ("SELECT", True), table
        else:
            assert (policy.cmd, policy.qual, policy.with_check) == ("ALL", "true", None)


def test_nothing_is_read_in_anybody_else_s_name(database: tuple[str, roles.Names]) -> None:
    url, _ = database
    for query in (NOT_FOR_THE_INVOKER, OPEN_TO_TRICKS, BY_SOMEBODY_ELSE, MATERIALISED):
        assert told(url, query) == [], query


def test_the_app_s_role_is_weak_and_its_waits_end(database: tuple[str, roles.Names]) -> None:
    url, names = database
    with owner(url) as connection:
        assert roles.strong(connection, names.app) == []
        assert "is a superuser" in roles.strong(connection) or "owns tables" in roles.strong(connection)
    assert {setting.partition("=")[0] for setting in told(url, SETTINGS, role=names.app)} == {
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
    }


def test_the_app_can_do_all_its_work(app: sa.Engine) -> None:
    work = Address(ADDRESS.tenant, "work", "orders", "billing")
    report(app, work, 0, received=1, completed=0)
    token = issue(app, work)
    now = run(app, lambda c: c.scalars(sa.select(sa.func.now())).one())
    error = ConnectorError(kind=ErrorKind.PARSE, tag=None, index=1, timestamp=now, message="bad")
    report(app, work, 1, received=2, completed=2, epoch="b", errors=(error,))
    with pytest.raises(Exception, match="epoch"):
        check_token(app, work, token)
    send(app, work, Report(if_match=2), timedelta(0))
    transact(app, lambda c: remove_connector(c, work))
    transact(app, lambda c: status.write_pipeline(c, work.tenant, work.pipeline_id, "work", "Paused"))
    by = command_line("acme")
    transact(app, lambda c: ensure_tenant(c, by, "acme"))
    transact(app, lambda c: create_key(c, by, "ci", Role.READ))
    transact(app, lambda c: rotate_key(c, by, "ci"))
    transact(app, lambda c: revoke_key(c, by, "ci"))
    checks = run(app, health.check)
    assert (checks["migrated"], checks["role"]) == (True, True)


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE completion_token SET binding = 1",
        "DELETE FROM completion_token",
        "DELETE FROM connector",
        "UPDATE observation SET completed_version = 1",
        "DELETE FROM connector_event",
        "DELETE FROM api_key",
        "UPDATE audit_event SET actor = 'nobody'",
        "DELETE FROM audit_event",
        "SELECT * FROM analyst",
        "INSERT INTO analyst (role, tenant_id) SELECT current_user, id FROM tenant",
        "UPDATE alembic_version SET version_num = '0001'",
        "TRUNCATE observation",
        "SELECT * FROM observation_default",
        "DROP TABLE observation_default",
        "ALTER TABLE observation DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE mine (x int)",
        "CREATE TABLE reporting.mine (x int)",
        "CREATE TEMPORARY TABLE mine (x int)",
        "CREATE SCHEMA mine",
        "COPY tenant TO PROGRAM 'true'",
    ],
)
def test_the_app_cannot_do_more(app: sa.Engine, forbidden: str) -> None:
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be (owner|superuser)"),
        app.begin() as connection,
    ):
        connection.exec_driver_sql(forbidden)


def test_the_app_cannot_become_the_owner(app: sa.Engine, database: tuple[str, roles.Names]) -> None:
    with pytest.raises(DBAPIError, match="permission denied"), app.begin() as connection:
        connection.exec_driver_sql(f"SET ROLE {database[1].owner}")


def test_the_app_keeps_rollups_and_leaves_partitions_to_the_owner(database: tuple[str, roles.Names]) -> None:
    url, names = database
    made = "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'observation'::regclass ORDER BY 1"
    with owner(url) as connection:
        connection.exec_driver_sql("CREATE TABLE observation_20010101 (LIKE observation)")  # past its retention
    week_ago = datetime.now(UTC).date() - timedelta(days=7)
    engine = make_engine(url)
    make_days(engine, week_ago)
    engine.dispose()
    before = told(url, made)
    app = login(url, names.app)
    ensure_partitions(app, days_ahead=3)
    done = maintain(Plan.of(Config(), app))
    assert done is not None
    assert (done.dropped, done.packed, done.hours > 0) == ((), (), True)
    assert told(url, made) == before
    done = maintain(Plan.of(Config(), url))
    assert done is not None
    assert (done.dropped, done.packed) == (("observation_20010101",), (week_ago,))


HOT: dict[str, dict[str, Any]] = {
    "check_token": {"tenants": "{}", "pipelines": "{}", "connectors": "{}", "tokens": "{}"},
    "issue_token": {"connectors": "{}", "pipelines": "{}", "issued_by": [], "hinted": "{}", "sampled_ahead": 2},
    "read_stats": {"connectors": "{}", "pipelines": "{}", "known": "{}"},
    "read_standings": {"connectors": "{}", "epochs": "{}", "bindings": "{}"},
    "load_connectors": {"ids": "{}", "pipelines": "{}", "labels": [], "hurry": False},
    "update_connectors": {"rows": "[]"},
    "insert_connectors": {"rows": "[]"},
}


@pytest.mark.parametrize("name", HOT)
def test_the_hot_statements_have_the_plans_that_they_have_without_policies(
    database: tuple[str, roles.Names], app: sa.Engine, name: str
) -> None:
    url, _ = database
    explained = sa.text(f"EXPLAIN (COSTS OFF, VERBOSE) {statement(name).text}")
    plans = []
    with owner(url) as connection, connection.execution_options(isolation_level="READ COMMITTED").begin():
        connection.exec_driver_sql("SET LOCAL row_security = off")  # which the superuser's are anyway
        connection.exec_driver_sql("SET LOCAL jit = off")
        plans.append("\n".join(connection.scalars(explained, HOT[name])))
    with app.begin() as connection:
        plans.append("\n".join(connection.scalars(explained, HOT[name])))
    assert plans[0] == plans[1]


def test_reports_are_hot_updates_as_ever(app: sa.Engine) -> None:
    hot = Address(ADDRESS.tenant, "hot", "orders", "billing")
    report(app, hot, 0, received=1, completed=0)
    counted = sa.text("SELECT pg_stat_get_xact_tuples_hot_updated('connector'::regclass)")
    with app.begin() as connection:
        before = connection.scalars(counted).one()
        connection.execute(sa.text("UPDATE connector SET version = version + 1 WHERE id = :id"), {"id": hot.id})
        assert connection.scalars(counted).one() == before + 1


def catalogue(url: str) -> list[tuple[Any, ...]]:
    queries = (GRANTED, POLICIES, sa.text("SELECT nspacl FROM pg_namespace WHERE nspname IN ('public', 'reporting')"))
    with owner(url) as connection:
        found = [tuple(row) for query in queries for row in connection.execute(query)]
        found += [
            tuple(row)
            for row in connection.execute(sa.text("SELECT datacl FROM pg_database WHERE datname = current_database()"))
        ]
    return sorted(found, key=str)


def test_what_is_printed_does_what_is_applied(clone: str, database: tuple[str, roles.Names]) -> None:
    _, names = database
    before = catalogue(clone)
    roles.renew(clone)
    assert catalogue(clone) == before, "nothing was applied that could be renewed"
    with owner(clone) as connection:
        for line in list(roles.script(connection, names)):
            connection.exec_driver_sql(line)
    printed = catalogue(clone)
    roles.apply(clone, names)
    assert catalogue(clone) == printed
    assert len(printed) > 50


def test_policies_that_stand_are_left_alone_and_others_are_mended(clone: str) -> None:
    rows = "SELECT oid FROM pg_policy ORDER BY oid"
    with applied(clone) as names:
        before = told(clone, rows)
        roles.apply(clone, names)
        roles.renew(clone)
        assert told(clone, rows) == before
        with owner(clone) as connection:
            connection.exec_driver_sql("DROP POLICY owner ON connector")
            connection.exec_driver_sql(f"GRANT DELETE ON connector TO {names.app}")
        roles.renew(clone)
        assert len(told(clone, rows)) == len(before)
        assert told(clone, "SELECT has_table_privilege(:role, 'connector', 'DELETE')", role=names.app) == [False]


def test_a_role_that_was_dropped_is_made_again_with_all_that_it_may(clone: str) -> None:
    """Its policies went with it, and the owner's did not."""
    with applied(clone) as names:
        before = catalogue(clone)
        with owner(clone) as connection:
            for role in (names.app, names.reporting):
                connection.exec_driver_sql(f"DROP OWNED BY {role}")
                connection.exec_driver_sql(f"DROP ROLE {role}")
        roles.apply(clone, names)
        assert catalogue(clone) == before


def test_what_the_app_calls_it_may_read_before_the_grants_are_renewed(clone: str) -> None:
    """The release before is still at work when a migration is done."""
    with applied(clone) as names:
        schema.downgrade(clone, "0015")
        schema.upgrade(clone)
        charted = "SELECT count(*) FROM connector_rollup(now() - interval '1 h', now(), '1 h', '10 s', NULL)"
        assert told(login(clone, names.app), charted) == [0]


def test_a_table_that_nobody_thought_of_is_closed(clone: str) -> None:
    with applied(clone) as names:
        with owner(clone) as connection:
            connection.exec_driver_sql("CREATE TABLE forgotten (secret text)")
            connection.exec_driver_sql(f"GRANT ALL ON forgotten TO PUBLIC, {names.reporting}")
        roles.renew(clone)
        analyst = grant(clone, "default", "ana")
        assert told(clone, UNFORCED) == []
        for url in (login(clone, names.app), analyst):
            with pytest.raises(ProgrammingError, match="permission denied"), connected(url) as connection:
                connection.exec_driver_sql("SELECT * FROM public.forgotten")


@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION"])
def test_a_strong_role_is_not_taken_for_the_app(database: tuple[str, roles.Names], attribute: str) -> None:
    url, names = database
    strong = names.app.replace("app", "strong")
    with owner(url) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {strong} LOGIN {attribute}")
        with pytest.raises(roles.RoleRefused, match=strong):
            roles.apply(url, replace(names, app=strong))
        assert roles.installed(connection) == names
        connection.exec_driver_sql(f"DROP ROLE {strong}")  # which nothing was granted


def test_the_owner_is_not_taken_for_the_app(database: tuple[str, roles.Names]) -> None:
    url, names = database
    with pytest.raises(roles.RoleRefused, match="owns tables"):
        roles.apply(url, replace(names, app=names.owner))


@pytest.mark.parametrize("name", ["", "Ada", "a-b", 'a"b', "a b", "a;b", "1a", "pg_ada", "a" * 64, "ä", "a\n"])
def test_names_that_would_need_quotes_are_refused(name: str) -> None:
    with pytest.raises(roles.RoleRefused, match=re.escape(repr(name))):
        roles.role_name(name)


def test_an_owner_who_is_no_superuser_can_do_it_all(empty_database: str) -> None:
    name = f"{sa.make_url(empty_database).database}_owner"
    with owner(empty_database) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'x'")
        connection.exec_driver_sql(f"ALTER DATABASE {sa.make_url(empty_database).database} OWNER TO {name}")
    url = login(empty_database, name, "x")
    names = roles.Names(owner=name, app=name.replace("owner", "app"), reporting=name.replace("owner", "reporting"))
    try:
        schema.upgrade(url)
        roles.apply(url, names, PASSWORD)
        ensure_partitions(url, days_ahead=0)
        engine = make_engine(login(url, names.app))
        report(engine, ADDRESS, 0, received=1, completed=0)
        engine.dispose()
        analyst = grant(url, "default", "ana")
        with connected(analyst) as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM reporting.connector_current").scalar() == 1
        assert told(url, "SELECT count(*) FROM observation") == [1], "also of a table that forces its policies on him"
    finally:
        with owner(empty_database) as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {sa.make_url(empty_database).database} OWNER TO CURRENT_USER")
        drop(empty_database, names)
