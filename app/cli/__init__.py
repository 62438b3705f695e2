"""The console script ``tidemark``: a module for each group of its commands."""

import sys

import click
from sqlalchemy.exc import DBAPIError

from app import logs
from app.cli.access import keys, tenants
from app.cli.database import db
from app.cli.recording import collect, maintain
from app.cli.reporting import reporting
from app.cli.serving import run_everything, serve
from app.cli.surroundings import configuration
from app.cli.token import token
from app.config import ConfigError
from app.domain.errors import ServiceUnavailable, TidemarkError
from app.embedded import EmbeddedPostgresError
from app.store import roles, schema

_EXPLAINED = (
    ConfigError,
    EmbeddedPostgresError,
    TidemarkError,
    roles.RoleRefused,
    schema.MigrationTurnTimeout,
)


def main() -> None:
    """Runs the command line; what can be explained is told in a line, without a traceback."""
    try:
        commands(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except ServiceUnavailable as error:
        sys.exit(f"tidemark: {_unavailable(error)}")
    except _EXPLAINED as error:
        sys.exit(f"tidemark: {error}")
    except DBAPIError as error:  # its text may hold SQL; what the server said, does not
        sys.exit(f"tidemark: the database refused: {type(error.orig).__name__}: {_first_line(error)}")
    except ModuleNotFoundError as error:
        if error.name in (None, "app"):
            raise
        sys.exit(f"tidemark: the module {error.name} is not installed: pip install --editable '.[demo,embedded,nats]'")
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"tidemark: {error.filename}: {error.strerror}")


@click.group()
@click.version_option(package_name="tidemark")
def commands() -> None:
    """Tidemark: recorded status and completion tokens for streaming pipelines."""
    if not schema.MIGRATIONS.is_dir():
        raise ConfigError("the migrations are not installed: in a clone of Tidemark, run pip install --editable .")
    logs.configure(configuration().log_level)


for _command in (run_everything, serve, collect, maintain, db, reporting, keys, tenants, token):
    commands.add_command(_command)


def _unavailable(error: ServiceUnavailable) -> str:
    """What the driver said, as far as it did: who starts a command may know it, and can mend it; a client cannot."""
    cause = error.__context__
    if not isinstance(cause, DBAPIError):
        return error.message
    return f"the database cannot be used: {_first_line(cause)}; DATABASE_URL says where it is"


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
