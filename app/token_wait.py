"""Waiting for tokens on the command line, with a line that says why they are not done yet."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import click

from app.domain.errors import ServiceUnavailable, TidemarkError
from app.domain.explanation import Explanation
from app.domain.reason import about, reason
from app.domain.token import TokenId, TokenStatus
from app.domain.waiting import Until, Verdict
from app.services.check import Checked
from app.services.wait import Outcome, WaitRequest, outcome_of, together, wait
from app.services.waiters import Waiters

EXIT_CODES = {Verdict.COMPLETE: 0, Verdict.FAILED: 1, Verdict.IN_PROGRESS: 2}
"""What the command ends with: complete, never to become complete, and not yet when the time was over."""

_LINE_SECONDS = 1.0  # for how long a line is true

Explain = Callable[[TokenId], Explanation]


def wait_for_tokens(
    waiters: Waiters, tokens: Sequence[TokenId], explain: Explain, *, until: Until, seconds: float | None
) -> Verdict:
    """Waits, as long as it takes where ``seconds`` is None; prints what has become of each token.

    While it lasts, standard error says what is waited for: on a terminal in one line that changes, elsewhere in a line
    whenever there is something new. A database that does not answer costs time only; if that is over then, nobody knows
    what has become of the tokens.
    """
    started, line = time.monotonic(), _Line()
    latest: dict[int, Explanation] = {}

    def look_at(place: int) -> Checked:
        explained = latest[place] = explain(tokens[place])
        return _checked(explained)

    def look(places: Sequence[int]) -> list[Outcome]:
        return [outcome_of(partial(look_at, place)) for place in places]

    while True:
        passed = time.monotonic() - started
        left = _LINE_SECONDS if seconds is None else max(0.0, min(_LINE_SECONDS, seconds - passed))
        request = WaitRequest(seconds=left, until=until, holder=None, hung_up=lambda: False)
        try:
            outcomes = wait(waiters, tokens, look, request)
            verdict, waited_for = together(outcomes, until), ""
        except ServiceUnavailable as error:
            outcomes, verdict, waited_for = [], Verdict.IN_PROGRESS, error.message
        passed = time.monotonic() - started
        if verdict is not Verdict.IN_PROGRESS or (seconds is not None and passed >= seconds):
            break
        line.show(waited_for or _waited_for(outcomes, latest), f"{about(passed)}: ")
    line.clear()
    if not outcomes:
        click.echo(waited_for, err=True)
        return verdict
    for token, outcome in zip(tokens, outcomes, strict=True):
        click.echo(f"{token}  {_told(outcome)}")
    return verdict


def _checked(explained: Explanation) -> Checked:
    if explained.lost:
        raise explained.lost
    record = explained.known.record
    return Checked(TokenStatus(explained.status), record.epoch_number, record.binding)


def _waited_for(outcomes: Sequence[Outcome], latest: dict[int, Explanation]) -> str:
    waiting = [place for place, each in enumerate(outcomes) if _told(each) == TokenStatus.IN_PROGRESS.value]
    first = latest[waiting[0]]
    where = f"{first.known.pipeline}/{first.known.table}.{first.known.connector}"
    done = f"{len(outcomes) - len(waiting)} of {len(outcomes)} done; " if len(outcomes) > 1 else ""
    return f"{done}{where}: {reason(first)}"


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, TidemarkError):
        return f"lost ({outcome.code}): {outcome.message}"
    return outcome.status.value


class _Line:
    """What standard error says at the moment."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._text = ""

    def show(self, text: str, time: str) -> None:
        """Says it, instead of what was said before; the time is no news."""
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            click.echo(f"\r\033[K{f'{time}{text}'[: columns - 1]}", err=True, nl=False)
        elif text != self._text:
            click.echo(time + text, err=True)
        self._text = text

    def clear(self) -> None:
        """Leaves an empty line on a terminal."""
        if self._terminal and self._text:
            click.echo("\r\033[K", err=True, nl=False)
