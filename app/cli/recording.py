"""``tidemark collect`` and ``tidemark maintain``."""

import os
import signal
import sys
import threading
from pathlib import Path

import click

from app.cli.surroundings import configuration, database, engine_of
from app.services.maintenance import Plan, keep_maintained
from app.services.maintenance import maintain as maintain_once
from app.store import health
from app.store.partitions import ensure_partitions


@click.command()
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="A TOML file.")
def collect(file: Path) -> None:
    """Measure connectors and record what is found, until stopped."""
    from app.collectors import config as sources
    from app.collectors import loop

    config = configuration()
    try:
        found = sources.load(file, os.environ)
    except sources.CollectorConfigError as error:
        raise click.ClickException(str(error)) from None
    with database(config) as url:
        with engine_of(config, url) as engine:
            health.refuse_unsafe(engine, config)
        plan = Plan.of(config, url)
        threading.Thread(target=keep_maintained, args=(plan,), name="maintenance", daemon=True).start()
        loop.run(url, found, keep_every=config.history_interval, timeout_seconds=config.request_timeout)


@click.command()
@click.option("--forever", is_flag=True, help="Go on with it, every few minutes, until stopped.")
def maintain(forever: bool) -> None:
    """Roll up what is recorded, pack days that are over, and drop what is past its retention.

    Servers and collectors do so by themselves.
    """
    config = configuration()
    with database(config) as url:
        if forever:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is under way is rolled back, and done again
            keep_maintained(Plan.of(config, url))
        ensure_partitions(url)
        done = maintain_once(Plan.of(config, url))
    if done is None:
        click.echo("Somebody else is at it.")
        return
    packed, dropped = (", ".join(map(str, each)) or "nothing" for each in (done.packed, done.dropped))
    click.echo(f"Rolled up: hours {done.hours}, days {done.days}. Packed: {packed}. Dropped: {dropped}.")
