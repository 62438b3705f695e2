"""``tidemark run`` and ``tidemark serve``."""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from app.cli.surroundings import bring_up_to_date, configuration, database, database_url
from app.config import AuthProvider, Config, ConfigError

_GRACE_SECONDS = 35.0  # more than gunicorn gives the requests in flight
_ROOT = Path(__file__).parents[2]
_TIDEMARK = [sys.executable, "-P", "-m", "app.cli"]


@click.command("run")
def run_everything() -> None:
    """Serve, with all that it takes: the database, its schema and, unless DEMO=0, a live stream to look at."""
    config = configuration()
    config.check_exposure()
    with database_url(config) as url:
        bring_up_to_date(url)
        _supervise(config, url, "run", demo=config.demo)


@click.command()
def serve() -> None:
    """Serve the REST API with gunicorn, on HOST and PORT."""
    config = configuration()
    config.check_exposure()
    with database(config) as url:
        if config.database_url is None:  # which is there for as long as this process is
            _supervise(config, url, f"serve-{config.port}", demo=False)
            return
    _become_gunicorn(url)


def _supervise(config: Config, url: str, name: str, *, demo: bool) -> None:
    """Serves from a child process, and with it the demo's, until a signal ends it or one of them has ended."""
    # What only some commands need is imported by them: not everybody has the extras `embedded` and `demo`.
    from app.demo.supervisor import Supervisor, SupervisorError

    environment = os.environ | {"DATABASE_URL": url}
    try:
        with Supervisor(config.data_directory / name, grace_seconds=_GRACE_SECONDS) as supervisor:
            _check_address(config)
            supervisor.start("the server", [*_TIDEMARK, "serve"], environment)
            if demo:
                from app.demo.stream import start_stream

                collect = [*_TIDEMARK, "collect", "--config"]
                start_stream(supervisor, config.data_directory / "demo", collect, environment)
            while not _answers(config):
                if supervisor.wait(0.1):
                    return
            click.echo(welcome(config, demo=demo), err=True)
            supervisor.wait()
    except SupervisorError as error:
        raise click.ClickException(str(error)) from None


def _check_address(config: Config) -> None:
    """Raises ConfigError where nothing can be served: whatever is there already would be taken for the server."""
    if config.socket is not None:
        return
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        socket.create_server((config.host, config.port), family=family).close()
    except OSError as error:
        raise ConfigError(f"HOST, PORT: {error.strerror}; stop what is there, or set PORT") from None


def _become_gunicorn(url: str) -> NoReturn:
    """Replaces this process, because gevent must come before what this one has imported already."""
    settings = str(_ROOT / "deploy" / "gunicorn.conf.py")
    os.environ["DATABASE_URL"] = url  # as it was read, without the spellings that only the configuration knows
    os.execv(sys.executable, [sys.executable, "-P", "-m", "gunicorn", "--config", settings])  # noqa: S606


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


def welcome(config: Config, *, demo: bool) -> str:
    """What whoever has started it is told: where it is, and what to try."""
    if config.socket is not None:
        return f"Tidemark is at the socket {config.socket}, for a proxy to pass requests to; Ctrl-C stops it."
    host = f"[{config.host}]" if ":" in config.host else config.host
    base = f"http://{host}:{config.port}"
    lines = [f"Tidemark is at {base}, its documentation at {base}/docs/; Ctrl-C stops it."]
    credential = ""
    if config.auth_provider is not AuthProvider.NONE:
        credential = '-H "Authorization: Bearer $KEY" '
        lines.append("Every request needs an API key; this makes one: tidemark keys create --name NAME --role admin")
    if demo:
        lines.append(f"Try: curl {credential}{base}/v0/pipelines/demo/tables/orders/connectors/billing/stats")
    return "\n".join(lines)
