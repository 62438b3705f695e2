"""Database roles: the statements that make them and grant what ``access.py`` lists. They may be repeated.

    owner      owns every table: migrates, makes and drops partitions
    app        serves and collects: owns nothing, and has no more than the grants it needs
    reporting  a group without a login; its members are analysts, each confined to one tenant (``analysts.py``)

Every table has row-level security, and forces it on its owner too: a role for which nobody has written a policy reads
nothing, whatever it was granted. The policies of owner and app are the constant ``true``, which the planner drops:
their statements have the plans that they have without.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import psycopg
from sqlalchemy import Connection, text

from app.store.access import CLOSED, SCHEMA, TABLES, VIEWS
from app.store.schema import migration_turn

APP = "tidemark_app"
REPORTING = "tidemark_reporting"

# A net below what the program asks of each of its own connections, for sessions by hand.
_APP_SETTINGS = {"statement_timeout": "60s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")

# All that the role is or may become: attributes are not inherited, but SET ROLE gives them.
_STRENGTH = text("""
    SELECT bool_or(m.rolsuper) AS "is a superuser", bool_or(m.rolbypassrls) AS "bypasses row-level security",
           bool_or(m.rolcreaterole) AS "may make roles", bool_or(m.rolcreatedb) AS "may make databases",
           bool_or(m.rolreplication) AS "may replicate",
           bool_or(m.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'))
               AS "reaches the server's files",
           bool_or(EXISTS (SELECT FROM pg_class
                            WHERE relnamespace IN (to_regnamespace('public'), to_regnamespace('reporting'))
                              AND relowner = m.oid)) AS "owns tables"
      FROM pg_roles AS r
      JOIN pg_roles AS m ON pg_has_role(r.oid, m.oid, 'MEMBER')
     WHERE r.rolname = coalesce(CAST(:role AS name), current_user)""")
_TABLES = text("""
    SELECT relname, obj_description(p.oid, 'pg_policy') AS described,
           (SELECT count(*) FROM pg_policy AS every WHERE every.polrelid = t.oid) AS policies
      FROM pg_class AS t
      LEFT JOIN pg_policy AS p ON p.polrelid = t.oid AND p.polname = 'owner'
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
     ORDER BY relname""")
_INSTALLED = text("""
    SELECT polname, rolname
      FROM pg_policy
      JOIN pg_roles AS r ON r.oid = polroles[1]
     WHERE polrelid = to_regclass('public.connector')""")


class RoleRefused(Exception):
    """A database role cannot be what it is asked to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The roles of one database. Roles belong to the whole server, so databases that share it may share them."""

    owner: str
    app: str = APP
    reporting: str = REPORTING


def role_name(name: str) -> str:
    """The name itself, where it is one that never needs quotes; raises RoleRefused."""
    if not _NAME.fullmatch(name):
        raise RoleRefused(f"{name!r} is no name for a role: use lower-case letters, digits and '_', 63 in all")
    return name


def owner(connection: Connection) -> str:
    """The role that owns the tables; raises RoleRefused where there are none."""
    found = connection.scalar(text("SELECT tableowner FROM pg_tables WHERE tablename = 'analyst'"))
    if found is None:
        raise RoleRefused("the database is not at this version's schema: run tidemark db upgrade")
    return str(found)


def installed(connection: Connection) -> Names | None:
    """The roles that this database's policies name; None before `apply`."""
    roles = {row.polname: row.rolname for row in connection.execute(_INSTALLED)}
    if not roles.keys() >= {"app", "analyst"}:
        return None
    return Names(owner=owner(connection), app=roles["app"], reporting=roles["analyst"])


def strong(connection: Connection, role: str | None = None) -> list[str]:
    """What makes a role, by default the present one, stronger than an app's is to be."""
    found = connection.execute(_STRENGTH, {"role": role}).one()
    return [reason for reason, holds in found._mapping.items() if holds]


def script(connection: Connection, names: Names) -> Iterator[str]:
    """All statements, for somebody who may make roles to run; `apply` runs the same."""
    yield from _roles(connection, names)
    for row in connection.execute(_TABLES).all():
        yield from _policies(connection, names, row.relname)
        yield from _grants(names, row.relname)
    yield from _views(names)


def apply(database: str, names: Names, password: str | None = None) -> None:
    """Makes the roles and grants them what they may do; sets the app's password if one is given.

    In a migrator's turn, a transaction for each table: see `schema.migration_turn` for what is raised. Raises
    RoleRefused where the app's role is, or would be, more than that.
    """
    with migration_turn(database) as connection:
        with connection.begin():
            _execute(connection, _roles(connection, names))
            if strength := strong(connection, names.app):
                raise RoleRefused(
                    f"the role {names.app} {', '.join(strength)}: choose one that is no more than the app"
                )
            if password is not None:
                set_password(connection, names.app, password)
        _grant(connection, names)


def renew(database: str) -> None:
    """Grants anew, after a migration, what `apply` has granted before; nothing where it never has."""
    with migration_turn(database) as connection:
        with connection.begin():
            names = installed(connection)
        if names is not None:
            _grant(connection, names)


def set_password(connection: Connection, role: str, password: str) -> None:
    """Sets a role's password. What is sent, and may be logged, is its SCRAM verifier."""
    driver = cast("psycopg.Connection", connection.connection.driver_connection)
    verifier = driver.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.exec_driver_sql(f"ALTER ROLE {role} PASSWORD '{verifier}'")


def make_role(role: str, *, login: bool) -> str:
    """The statement that makes a role where there is none of that name."""
    attributes = "LOGIN" if login else "NOLOGIN"
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')"
        f" THEN CREATE ROLE {role} {attributes}; END IF; END $$"
    )


def settings(connection: Connection, role: str, values: Mapping[str, str]) -> Iterator[str]:
    """The statements that let a role's sessions in this database begin with these settings."""
    for name, value in values.items():
        yield f"ALTER ROLE {role} IN DATABASE {_database(connection)} SET {name} = '{value}'"


def _roles(connection: Connection, names: Names) -> Iterator[str]:
    database, owner = _database(connection), _quoted(connection, names.owner)
    yield make_role(names.app, login=True)
    yield make_role(names.reporting, login=False)
    yield from settings(connection, names.app, _APP_SETTINGS)
    yield f"GRANT CONNECT ON DATABASE {database} TO {names.app}, {names.reporting}"
    yield f"REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC, {names.app}, {names.reporting}"
    yield f"GRANT CREATE, TEMPORARY ON DATABASE {database} TO {owner}"
    # Analysts come in by the schema `reporting` alone; its views name the tables by themselves.
    yield f"REVOKE ALL ON SCHEMA public FROM PUBLIC, {names.app}, {names.reporting}"
    yield f"GRANT CREATE, USAGE ON SCHEMA public TO {owner}"
    yield f"GRANT USAGE ON SCHEMA public TO {names.app}"
    yield f"GRANT USAGE ON SCHEMA {SCHEMA} TO {names.reporting}"


def _policies(connection: Connection, names: Names, table: str) -> list[str]:
    """Row-level security of a table. Under the lock of a moment, which nothing else here takes."""
    analysts = TABLES.get(table, CLOSED).analysts
    policies = {"owner": f"TO {_quoted(connection, names.owner)} USING (true)", "app": f"TO {names.app} USING (true)"}
    if analysts is not None:
        policies["analyst"] = f"FOR SELECT TO {names.reporting} USING ({analysts})"
    found = [f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"]
    for name in ("owner", "app", "analyst"):
        found.append(f"DROP POLICY IF EXISTS {name} ON public.{table}")
    found += [f"CREATE POLICY {name} ON public.{table} {policy}" for name, policy in policies.items()]
    return [*found, f"COMMENT ON POLICY owner ON public.{table} IS '{_digest(found)}'"]


def _grants(names: Names, table: str) -> Iterator[str]:
    access = TABLES.get(table, CLOSED)
    yield f"REVOKE ALL ON public.{table} FROM PUBLIC, {names.app}, {names.reporting}"
    if access.app:
        yield f"GRANT {access.app} ON public.{table} TO {names.app}"
    if access.analysts is not None:
        yield f"GRANT SELECT ON public.{table} TO {names.reporting}"


def _views(names: Names) -> Iterator[str]:
    for view in VIEWS:
        yield f"REVOKE ALL ON public.{view} FROM PUBLIC, {names.app}, {names.reporting}"
        yield f"GRANT SELECT ON public.{view} TO {names.app}, {names.reporting}"
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {names.reporting}"


def _grant(connection: Connection, names: Names) -> None:
    """Table by table: policies that all stand already are left alone, for to write them locks out everybody.

    With a role its policies go.
    """
    with connection.begin():
        tables = connection.execute(_TABLES).all()
    for row in tables:
        with connection.begin():
            policies = _policies(connection, names, row.relname)
            stand = row.policies == sum(each.startswith("CREATE POLICY") for each in policies)
            if not stand or row.described is None or row.described not in policies[-1]:
                _execute(connection, policies)
            _execute(connection, _grants(names, row.relname))
    with connection.begin():
        _execute(connection, _views(names))


def _digest(statements: Iterable[str]) -> str:
    return hashlib.sha256(";".join(statements).encode()).hexdigest()[:16]


def _execute(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


def _database(connection: Connection) -> str:
    return _quoted(connection, str(connection.scalar(text("SELECT current_database()"))))


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)
