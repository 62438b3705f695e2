"""``tidemark db``."""

import sys
from dataclasses import replace

import click

from app.cli.surroundings import bring_up_to_date, configuration, database, database_url, engine_of
from app.store import health, roles, schema
from app.store.engine import run, transact
from app.store.restore import leave_lost_versions


@click.group()
def db() -> None:
    """The database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the schema up to date, and make the partitions of the days ahead."""
    with database_url(configuration()) as url:
        bring_up_to_date(url)
        click.echo(f"The database is at revision {schema.head()}.")


@db.command()
def check() -> None:
    """Tell whether the database can be relied upon; exits with 1 if not."""
    config = configuration()
    with database_url(config) as url, engine_of(config, url) as engine:
        checks = run(engine, health.check)
    failed = health.failed(checks, replace(config, allow_unsafe_database=False))
    for name, passed in checks.items():
        click.echo(f"{name}: {'ok' if passed else 'FAILED' if name in failed else 'stronger than need be'}")
    sys.exit(1 if failed else 0)


@db.command("roles")
@click.option("--app", default=roles.APP, show_default=True, help="The role that serves and collects.")
@click.option("--reporting", default=roles.REPORTING, show_default=True, help="The group that analysts belong to.")
@click.option(
    "--apply", "at_once", is_flag=True, help="Carry them out, and set the app's APP_PASSWORD if there is one."
)
def db_roles(app: str, reporting: str, at_once: bool) -> None:
    """Print the statements that make the database's roles and grant them what they may do."""
    config = configuration()
    with database(config) as url, engine_of(config, url) as engine:
        names = roles.Names(
            owner=run(engine, roles.owner), app=roles.role_name(app), reporting=roles.role_name(reporting)
        )
        if at_once:
            roles.apply(url, names, config.app_password)
            click.echo(f"{names.app} and {names.reporting} may do what they need, and no more.")
        else:
            click.echo(
                "".join(f"{statement};\n" for statement in run(engine, lambda c: [*roles.script(c, names)])), nl=False
            )


@db.command()
def restored() -> None:
    """Go on after the database was restored to an earlier point, before anything else uses it."""
    config = configuration()
    with database(config) as url, engine_of(config, url) as engine:
        number = transact(engine, leave_lost_versions)
    click.echo(f"Versions of {number} connectors go on beyond any that were lost.")
