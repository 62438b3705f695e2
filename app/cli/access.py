"""``tidemark keys`` and ``tidemark tenants``."""

from datetime import UTC, datetime, timedelta

import click
from sqlalchemy import Connection

from app.cli.surroundings import configuration, database, engine_of, told, transacted
from app.domain.api_key import ApiKeyText
from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Role, command_line
from app.services.keys import MOST_GRACE, create_key, list_keys, revoke_key, rotate_key
from app.services.tenants import ensure_tenant, make_tenant
from app.store.engine import run
from app.store.tenants import read_page as read_tenants

_ROLE = click.Choice([role.value for role in Role])
_TENANTS_AT_A_TIME = 1000


@click.group()
def keys() -> None:
    """API keys."""


_TENANT = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="The tenant's name.")


@keys.command("create")
@_TENANT
@click.option("--name", required=True, help="The key's name, of the tenant's own choice.")
@click.option("--role", type=_ROLE, default=Role.READ.value, show_default=True)
@click.option("--expires-in-days", type=click.FloatRange(0, 36500, min_open=True), metavar="DAYS", help="Unset: never.")
def keys_create(tenant: str, name: str, role: str, expires_in_days: float | None) -> None:
    """Create a key, and its tenant if need be. Prints the key, once, and nothing else."""
    by = command_line(tenant)
    expires_at = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)

    def create(connection: Connection) -> ApiKeyText:
        ensure_tenant(connection, by, tenant)
        return create_key(connection, by, name, Role(role), expires_at=expires_at)[1]

    click.echo(str(transacted(create)))


@keys.command("list")
@_TENANT
def keys_list(tenant: str) -> None:
    """List a tenant's keys: id, role, when it expires, the hour of its last use, name."""
    config = configuration()
    with database(config) as url, engine_of(config, url) as engine:
        found = run(engine, lambda c: list_keys(c, tenant_id(tenant)))
    for key in found:
        times = f"{told(key.expires_at):27}  {told(key.last_used_at):27}"
        click.echo(f"{key.id}  {key.role.value:5}  {times}  {key.name}")
    if not found:
        click.echo(f"The tenant {tenant} has no keys.", err=True)


@keys.command("rotate")
@_TENANT
@click.option("--name", required=True)
@click.option(
    "--grace-seconds",
    type=click.IntRange(0, int(MOST_GRACE.total_seconds())),
    default=0,
    show_default=True,
    help="How long the old key still works.",
)
def keys_rotate(tenant: str, name: str, grace_seconds: int) -> None:
    """Replace a key by a new one of the same name and role. Prints the new key, once, and nothing else."""
    by, grace = command_line(tenant), timedelta(seconds=grace_seconds)
    _, key = transacted(lambda connection: rotate_key(connection, by, name, grace=grace))
    click.echo(str(key))


@keys.command("revoke")
@_TENANT
@click.option("--name", required=True)
def keys_revoke(tenant: str, name: str) -> None:
    """Revoke a key for good, and any that it has replaced."""
    transacted(lambda connection: revoke_key(connection, command_line(tenant), name))


@click.group()
def tenants() -> None:
    """Tenants."""


@tenants.command("create")
@click.argument("name")
def tenants_create(name: str) -> None:
    """Create a tenant; `tidemark keys create` makes its keys."""
    transacted(lambda connection: make_tenant(connection, command_line(DEFAULT_TENANT), name))


@tenants.command("list")
def tenants_list() -> None:
    """List the tenants: id, when it was created, name."""
    config, after = configuration(), ""
    with database(config) as url, engine_of(config, url) as engine:
        while page := run(engine, lambda c: read_tenants(c, after, _TENANTS_AT_A_TIME)):  # noqa: B023 - run at once
            for each in page:
                click.echo(f"{each.id}  {told(each.created_at)}  {each.name}")
            after = page[-1].name
