"""``tidemark reporting``."""

import click

from app.cli.surroundings import configuration, database, engine_of
from app.store import analysts
from app.store.engine import run, transact


@click.group()
def reporting() -> None:
    """Analysts: database roles that read one tenant's rows."""


_ANALYST = click.option("--role", required=True, help="The database role's name.")


@reporting.command("grant")
@click.option("--tenant", required=True, help="The tenant's name.")
@_ANALYST
def reporting_grant(tenant: str, role: str) -> None:
    """Let a role read a tenant's rows. Prints the password of a role that is made for it, once, and nothing else."""
    config = configuration()
    with database(config) as url, engine_of(config, url) as engine:
        password = transact(engine, lambda c: analysts.grant(c, tenant, role))
    if password is not None:
        click.echo(password)


@reporting.command("revoke")
@_ANALYST
def reporting_revoke(role: str) -> None:
    """Let a role read nothing any more, from its next statement on. The role itself stays."""
    config = configuration()
    with database(config) as url, engine_of(config, url) as engine:
        transact(engine, lambda c: analysts.revoke(c, role))


@reporting.command("list")
def reporting_list() -> None:
    """List the roles and the tenants they read: role, tenant."""
    config = configuration()
    with database(config) as url, engine_of(config, url) as engine:
        for analyst in run(engine, analysts.read):
            click.echo(f"{analyst.role}  {analyst.tenant}")
