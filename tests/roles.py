"""The database roles, for tests: of names of their own, because roles belong to the server that all tests share."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from app.store import analysts, roles
from app.store.engine import make_engine, transact

PASSWORD = "p@ss/w:rd #%ü"


def names_for(url: str) -> roles.Names:
    """Those of a database, which has a name of its own."""
    database = sa.make_url(url).database or ""
    with owner(url) as connection:
        return roles.Names(owner=roles.owner(connection), app=f"{database}_app", reporting=f"{database}_reporting")


@contextmanager
def applied(url: str) -> Iterator[roles.Names]:
    """The database with its roles; they are gone again afterwards, analysts too."""
    names = names_for(url)
    try:
        roles.apply(url, names, PASSWORD)
        yield names
    finally:
        drop(url, names)


def drop(url: str, names: roles.Names) -> None:
    with owner(url) as connection:
        found = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, :prefix)"
        for role in connection.scalars(sa.text(found), {"prefix": names.app.removesuffix("app")}).all():
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")


def grant(url: str, tenant: str, role: str) -> str:
    """Makes an analyst of the tenant; ``role`` is made the database's own. Answers the URL to connect with."""
    engine = make_engine(url, pool_size=1)
    name = f"{sa.make_url(url).database}_{role}"
    password = transact(engine, lambda c: analysts.grant(c, tenant, name))
    engine.dispose()
    return login(url, name, password or "")


def login(url: str, role: str, password: str = PASSWORD) -> str:
    return sa.make_url(url).set(username=role, password=password).render_as_string(hide_password=False)


@contextmanager
def owner(url: str) -> Iterator[sa.Connection]:
    """A connection each of whose statements commits by itself."""
    with connected(url, isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def connected(url: str, **options: str) -> Iterator[sa.Connection]:
    """A connection as whoever the URL names, with nothing set but what the role's sessions begin with."""
    with sa.create_engine(url, poolclass=sa.NullPool, **options).connect() as connection:
        yield connection
