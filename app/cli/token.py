"""``tidemark token``."""

import sys

import click

from app.cli.surroundings import configuration, database, engine_of
from app.domain.token import TokenId
from app.domain.waiting import Until
from app.services.explain import explain
from app.services.seats import Seats
from app.services.waiters import Waiters
from app.store.engine import run
from app.token_text import token_text
from app.token_wait import EXIT_CODES, wait_for_tokens


@click.group()
def token() -> None:
    """Completion tokens."""


@token.command("show")
@click.argument("text", metavar="TOKEN")
def token_show(text: str) -> None:
    """Tell why a token is not done yet, or when it was."""
    config, asked = configuration(), TokenId.parse(text)
    with database(config) as url, engine_of(config, url) as engine:
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
    config, wanted = configuration(), [TokenId.parse(text) for text in texts]
    with database(config) as url, engine_of(config, url) as engine:
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
