"""The console script ``tidemark``."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn, TypeVar

import click
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from app import logs
from app.config import Config, ConfigError
from app.domain.api_key import ApiKeyText
from app.domain.errors import TidemarkError
from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Role, command_line
from app.domain.status import format_time
from app.domain.token import TokenId
from app.domain.waiting import Until
from app.embedded import EmbeddedPostgresError, embedded_postgres
from app.services.explain import explain
from app.services.keys import MOST_GRACE, create_key, list_keys, revoke_key, rotate_key
from app.services.maintenance import Plan, keep_maintained
from app.services.maintenance import maintain as maintain_once
from app.services.seats import Seats
from app.services.tenants import ensure_tenant, make_tenant
from app.services.waiters import Waiters
from app.store import analysts, health, roles, schema
from app.store.engine import make_engine, run, transact
from app.store.partitions import ensure_partitions
from app.store.restore import leave_lost_versions
from app.store.tenants import read_page as read_tenants
from app.token_text import token_text
from app.token_wait import EXIT_CODES, wait_for_tokens

_GRACE_SECONDS = 35.0  # more than gunicorn gives the requests in flight
_ROOT = Path(__file__).parents[1]

_TIDEMARK = [sys.executable, "-P", "-m", "app.cli"]
_EXPLAINED = (
    ConfigError,
    EmbeddedPostgresError,
    TidemarkError,
    roles.RoleRefused,
    schema.MigrationTurnTimeout,
)

_TENANTS_AT_A_TIME = 1000

T = TypeVar("T")

ROLE = click.Choice([role.value for role in Role])


def main() -> None:
    """Runs the command line; what can be explained is told in a line, without a traceback."""
    try:
        commands(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except _EXPLAINED as error:
        sys.exit(f"tidemark: {error}")
    except DBAPIError as error:  # its text may hold SQL; what the server said, does not
        sys.exit(f"tidemark: the database refused: {type(error.orig).__name__}: {_first_line(error)}")


@click.group()
@click.version_option(package_name="tidemark")
def commands() -> None:
    """Tidemark: recorded status and completion tokens for streaming pipelines."""
    logs.configure(_config().log_level)


@commands.command("run")
def run_everything() -> None:
    """Serve, with all that it takes: the database, its schema and, unless DEMO=0, a live stream to look at."""
    config = _config()
    config.check_exposure()
    with _url(config) as url:
        _upgrade(url)
        _supervise(config, url, "run", demo=config.demo)


@commands.command()
def serve() -> None:
    """Serve the REST API with gunicorn, on HOST and PORT."""
    config = _config()
    config.check_exposure()
    with _database(config) as url:
        if config.database_url is None:  # which is there for as long as this process is
            _supervise(config, url, f"serve-{config.port}", demo=False)
            return
    _become_gunicorn(url)


@commands.command()
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="A TOML file.")
def collect(file: Path) -> None:
    """Measure connectors and record what is found, until stopped."""
    from app.collectors import config as sources
    from app.collectors import loop

    config = _config()
    try:
        found = sources.load(file, os.environ)
    except sources.CollectorConfigError as error:
        raise click.ClickException(str(error)) from None
    with _database(config) as url:
        with _engine(config, url) as engine:
            health.refuse_unsafe(engine, config)
        plan = Plan.of(config, url)
        threading.Thread(target=keep_maintained, args=(plan,), name="maintenance", daemon=True).start()
        loop.run(url, found, keep_every=config.history_interval, timeout_seconds=config.request_timeout)


@commands.command()
@click.option("--forever", is_flag=True, help="Go on with it, every few minutes, until stopped.")
def maintain(forever: bool) -> None:
    """Roll up what is recorded, and drop what is past its retention, as servers and collectors do by themselves."""
    config = _config()
    with _database(config) as url:
        if forever:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is under way is rolled back, and done again
            keep_maintained(Plan.of(config, url))
        ensure_partitions(url)
        done = maintain_once(Plan.of(config, url))
    if done is None:
        click.echo("Somebody else is at it.")
        return
    click.echo(f"Rolled up: {done.hours} hours, {done.days} days. Dropped: {', '.join(done.dropped) or 'nothing'}.")


@commands.group()
def db() -> None:
    """The database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the schema up to date, and make the partitions of the days ahead."""
    with _url(_config()) as url:
        _upgrade(url)
        click.echo(f"The database is at revision {schema.head()}.")


@db.command()
def check() -> None:
    """Tell whether the database can be relied upon; exits with 1 if not."""
    config = _config()
    with _url(config) as url, _engine(config, url) as engine:
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
    config = _config()
    with _database(config) as url, _engine(config, url) as engine:
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


@commands.group()
def reporting() -> None:
    """Analysts: database roles that read one tenant's rows."""


_ANALYST = click.option("--role", required=True, help="The database role's name.")


@reporting.command("grant")
@click.option("--tenant", required=True, help="The tenant's name.")
@_ANALYST
def reporting_grant(tenant: str, role: str) -> None:
    """Let a role read a tenant's rows. Prints the password of a role that is made for it, once, and nothing else."""
    config = _config()
    with _database(config) as url, _engine(config, url) as engine:
        password = transact(engine, lambda c: analysts.grant(c, tenant, role))
    if password is not None:
        click.echo(password)


@reporting.command("revoke")
@_ANALYST
def reporting_revoke(role: str) -> None:
    """Let a role read nothing any more, from its next statement on. The role itself stays."""
    config = _config()
    with _database(config) as url, _engine(config, url) as engine:
        transact(engine, lambda c: analysts.revoke(c, role))


@reporting.command("list")
def reporting_list() -> None:
    """List the roles and the tenants they read: role, tenant."""
    config = _config()
    with _database(config) as url, _engine(config, url) as engine:
        for analyst in run(engine, analysts.read):
            click.echo(f"{analyst.role}  {analyst.tenant}")


@db.command()
def restored() -> None:
    """Go on after the database was restored to an earlier point, before anything else uses it."""
    config = _config()
    with _database(config) as url, _engine(config, url) as engine:
        number = transact(engine, leave_lost_versions)
    click.echo(f"Versions of {number} connectors go on beyond any that were lost.")


@commands.group()
def keys() -> None:
    """API keys."""


_TENANT = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="The tenant's name.")


@keys.command("create")
@_TENANT
@click.option("--name", required=True, help="The key's name, of the tenant's own choice.")
@click.option("--role", type=ROLE, default=Role.READ.value, show_default=True)
@click.option("--expires-in-days", type=click.FloatRange(0, 36500, min_open=True), metavar="DAYS", help="Unset: never.")
def keys_create(tenant: str, name: str, role: str, expires_in_days: float | None) -> None:
    """Create a key, and its tenant if need be. Prints the key, once, and nothing else."""
    by = command_line(tenant)
    expires_at = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)

    def create(connection: Connection) -> ApiKeyText:
        ensure_tenant(connection, by, tenant)
        return create_key(connection, by, name, Role(role), expires_at=expires_at)[1]

    click.echo(str(_transact(create)))


@keys.command("list")
@_TENANT
def keys_list(tenant: str) -> None:
    """List a tenant's keys: id, role, when it expires, the hour of its last use, name."""
    config = _config()
    with _database(config) as url, _engine(config, url) as engine:
        for key in run(engine, lambda c: list_keys(c, tenant_id(tenant))):
            times = f"{_time(key.expires_at):27}  {_time(key.last_used_at):27}"
            click.echo(f"{key.id}  {key.role.value:5}  {times}  {key.name}")


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
    _, key = _transact(lambda connection: rotate_key(connection, by, name, grace=grace))
    click.echo(str(key))


@keys.command("revoke")
@_TENANT
@click.option("--name", required=True)
def keys_revoke(tenant: str, name: str) -> None:
    """Revoke a key for good, and any that it has replaced."""
    _transact(lambda connection: revoke_key(connection, command_line(tenant), name))


@commands.group()
def tenants() -> None:
    """Tenants."""


@tenants.command("create")
@click.argument("name")
def tenants_create(name: str) -> None:
    """Create a tenant; `tidemark keys create` makes its keys."""
    _transact(lambda connection: make_tenant(connection, command_line(DEFAULT_TENANT), name))


@tenants.command("list")
def tenants_list() -> None:
    """List the tenants: id, when it was created, name."""
    config, after = _config(), ""
    with _database(config) as url, _engine(config, url) as engine:
        while page := run(engine, lambda c: read_tenants(c, after, _TENANTS_AT_A_TIME)):  # noqa: B023 - run at once
            for each in page:
                click.echo(f"{each.id}  {_time(each.created_at)}  {each.name}")
            after = page[-1].name


@commands.group()
def token() -> None:
    """Completion tokens."""


@token.command("show")
@click.argument("text", metavar="TOKEN")
def token_show(text: str) -> None:
    """Tell why a token is not done yet, or when it was."""
    config, asked = _config(), TokenId.parse(text)
    with _database(config) as url, _engine(config, url) as engine:
        explained = run(engine, lambda c: explain(c, asked, tenant=None, retention=config.token_retention))
    click.echo(token_text(explained))


@token.command("wait")
@click.argument("texts", metavar="TOKEN...", nargs=-1, required=True)
@click.option("--any", "any_will_do", is_flag=True, help="Until one of them is complete, rather than all.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="As long as it takes, unless given.")
def token_wait(texts: tuple[str, ...], any_will_do: bool, timeout: float | None) -> None:
    """Wait until tokens are complete.

    Exits with 0 when they are, with 1 when they never will be (lost, or unknown), and with 2 when the time is over.
    """
    config, wanted = _config(), [TokenId.parse(text) for text in texts]
    with _database(config) as url, _engine(config, url) as engine:
        waiters = Waiters(engine, url, Seats(most=1, most_of_one=1))
        verdict = wait_for_tokens(
            waiters,
            wanted,
            lambda each: run(engine, lambda c: explain(c, each, tenant=None, retention=config.token_retention)),
            until=Until.ANY if any_will_do else Until.ALL,
            seconds=timeout,
        )
        waiters.close()
    sys.exit(EXIT_CODES[verdict])


def _supervise(config: Config, url: str, name: str, *, demo: bool) -> None:
    """Serves from a child process, and with it the demo's, until a signal ends it or one of them has ended."""
    # What only some commands need is imported by them: not everybody has the extras `embedded` and `demo`.
    from app.demo.supervisor import Supervisor, SupervisorError

    environment = os.environ | {"DATABASE_URL": url}
    try:
        with Supervisor(config.data_directory / name, grace_seconds=_GRACE_SECONDS) as supervisor:
            supervisor.start("the server", [*_TIDEMARK, "serve"], environment)
            if demo:
                from app.demo.stream import start_stream

                collect = [*_TIDEMARK, "collect", "--config"]
                start_stream(supervisor, config.data_directory / "demo", collect, environment)
            while not _answers(config):
                if supervisor.wait(0.1):
                    return
            click.echo(_welcome(config, demo=demo), err=True)
            supervisor.wait()
    except SupervisorError as error:
        raise click.ClickException(str(error)) from None


def _become_gunicorn(url: str) -> NoReturn:
    """Replaces this process, because gevent must come before what this one has imported already."""
    settings = str(_ROOT / "deploy" / "gunicorn.conf.py")
    os.environ["DATABASE_URL"] = url  # as it was read, without the spellings that only the configuration knows
    os.execv(sys.executable, [sys.executable, "-P", "-m", "gunicorn", "--config", settings])  # noqa: S606


def _config() -> Config:
    return Config.read(os.environ)


@contextmanager
def _url(config: Config) -> Iterator[str]:
    """The configured database, or the embedded one for as long as it is needed."""
    if config.database_url is not None:
        yield config.database_url
    else:
        with embedded_postgres(config.data_directory / "postgres") as url:
            yield url


@contextmanager
def _database(config: Config) -> Iterator[str]:
    """The same, ready for use: the embedded one is migrated, a configured one must have been. Raises ConfigError."""
    with _url(config) as url:
        if config.database_url is None:
            _upgrade(url)
        with _engine(config, url) as engine:
            if not run(engine, schema.is_current):
                raise ConfigError("DATABASE_URL: the database is not at this version's schema: run tidemark db upgrade")
        yield url


@contextmanager
def _engine(config: Config, url: str) -> Iterator[Engine]:
    engine = make_engine(url, pool_size=2, timeout_seconds=config.request_timeout)
    try:
        yield engine
    finally:
        engine.dispose()


def _transact(work: Callable[[Connection], T]) -> T:
    config = _config()
    with _database(config) as url, _engine(config, url) as engine:
        return transact(engine, work)


def _time(instant: datetime | None) -> str:
    return "-" if instant is None else format_time(instant)


def _upgrade(url: str) -> None:
    schema.upgrade(url)
    roles.renew(url)
    ensure_partitions(url)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def _answers(config: Config) -> bool:
    with suppress(OSError), _connection(config):
        return True
    return False


def _connection(config: Config) -> socket.socket:
    if config.socket is None:
        return socket.create_connection((config.host, config.port), timeout=1)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(config.socket))
    except OSError:
        connection.close()
        raise
    return connection


def _welcome(config: Config, *, demo: bool) -> str:
    if config.socket is not None:
        return f"Tidemark is at the socket {config.socket}, for a proxy to pass requests to; Ctrl-C stops it."
    host = f"[{config.host}]" if ":" in config.host else config.host
    base = f"http://{host}:{config.port}"
    connector = f"{base}/v0/pipelines/demo/tables/orders/connectors/billing/stats"
    lines = [f"Tidemark is at {base}, its documentation at {base}/docs/; Ctrl-C stops it."]
    return "\n".join([*lines, f"Try: curl {connector}"] if demo else lines)


if __name__ == "__main__":
    main()
