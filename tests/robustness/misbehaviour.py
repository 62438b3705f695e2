"""Defects planted in the code: what a well-meant change might make of it. See ``defects.py``."""

from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, TextClause, event, select, text

from app.domain import connector, frontier, token
from app.domain.connector import Accepted, Connector, Report, StreamPosition
from app.domain.errors import TidemarkError
from app.domain.frontier import Frontier
from app.domain.position import MAX_OFFSET, Position
from app.domain.status import Recording
from app.domain.token import TokenId, TokenStatus
from app.services import check, issue, report
from app.services.check import Asked, Checked
from app.store import engine, models, reports, tokens
from app.store.reports import Change
from app.store.tokens import Found, Issued, Place, Wanted

Patch = pytest.MonkeyPatch

_TAKE = "DELETE FROM completion_token WHERE connector_id = :c AND id = :t RETURNING epoch_number, binding"
_ROW = """(SELECT CAST('{}' AS uuid), CAST('{}' AS uuid), {}, {})
          AS t (connector_id, id, epoch_number, binding)"""


def status_turns_synchronous(patch: Patch) -> None:
    """A connector is what its newest report says, whether or not that has a position."""
    patch.setattr(connector, "_recording", lambda before, report: report.recording)


def late_reports_turn_synchronous(patch: Patch) -> None:
    """A report without a version changes how a connector records, as one that names it would."""
    honest = connector.check_precondition

    def check_precondition(before: Connector, report: Report) -> None:
        honest(replace(before, recording=Recording.SYNCHRONOUS) if report.if_match is None else before, report)

    patch.setattr(connector, "check_precondition", check_precondition)


def late_reports_open_epochs(patch: Patch) -> None:
    """A report without a version begins a new epoch, as one that names it would."""
    honest = connector.accept

    def accept(before: Connector, given: Report, **options: Any) -> Accepted:
        connector.check_precondition(before, given)
        return honest(before, replace(given, if_match=before.visible_version), **options)

    patch.setattr(report, "accept", accept)


def complete_is_remembered(patch: Patch) -> None:
    """A complete token stays complete, so it need not be asked for again, unless its connector is removed."""
    honest, complete = check._judged, dict[str, Checked]()

    def judged(asked: Asked, *known: Any) -> Checked | TidemarkError:
        found = complete.get(asked.token) or honest(asked, *known)
        if isinstance(found, Checked) and found.status is TokenStatus.COMPLETE:
            complete[asked.token] = found
        return found

    patch.setattr(check, "_judged", judged)


def tokens_expire_at_once(patch: Patch) -> None:
    """The retention is taken for milliseconds."""
    honest = token.check_age
    patch.setattr(check, "check_age", lambda asked, now, retention: honest(asked, now, retention / -1000))


def nothing_must_be_completed(patch: Patch) -> None:
    """``>=`` for ``>``: where nothing has come in, something must be completed."""

    def reaches(mine: Position, other: Position) -> bool:
        return all(mine.offsets.get(name, -1) >= offset for name, offset in other.offsets.items() if offset >= 0)

    patch.setattr(Position, "reaches", reaches)


def empty_is_complete(patch: Patch) -> None:
    """A completed position that names no component leaves nothing to be compared."""
    honest = frontier.advance

    def advance(checkpoints: Frontier, completed: Position | None) -> tuple[Frontier, int | None]:
        if completed is not None and not completed.offsets:
            return (), checkpoints[-1].version
        return honest(checkpoints, completed)

    patch.setattr(connector, "advance", advance)


def totals_are_compared(patch: Patch) -> None:
    """As many records as there are must have been processed, whichever they are."""

    def reaches(mine: Position, other: Position) -> bool:
        return sum(mine.offsets.values()) >= sum(other.offsets.values())

    patch.setattr(Position, "reaches", reaches)


def components_are_compared_in_order(patch: Patch) -> None:
    """The first with the first, whatever their names are."""

    def reaches(mine: Position, other: Position) -> bool:
        pairs = zip_longest(mine.offsets.values(), other.offsets.values(), fillvalue=0)
        return all(offset >= wanted for offset, wanted in pairs)

    patch.setattr(Position, "reaches", reaches)


def offsets_pass_through_a_double(patch: Patch) -> None:
    """As in every second JSON library: from 2^53 on neighbours become one."""
    honest = Position.to_json

    def to_json(position: Position) -> int | dict[str, int]:
        rounded = {name: min(int(float(offset)), MAX_OFFSET) for name, offset in position.offsets.items()}
        return honest(Position(rounded))

    patch.setattr(Position, "to_json", to_json)


def received_must_grow(patch: Patch) -> None:
    """``<=`` for ``<``: a position that stays where it is has gone back."""
    honest = Position.regression_from

    def regression_from(mine: Position, earlier: Position) -> tuple[str, int, int | None] | None:
        first = next(iter(mine.offsets.items()), ("", 0))
        stays = mine.offsets and mine == earlier
        return (*first, first[1]) if stays else honest(mine, earlier)

    patch.setattr(Position, "regression_from", regression_from)


def no_latch_on_rewind(patch: Patch) -> None:
    """completed_version goes back with the completed position."""
    honest = connector._take_position

    def take_position(before: Connector, position: StreamPosition, now: datetime) -> Connector:
        after = honest(before, position, now)
        back = before.completed and after.completed and not after.completed.reaches(before.completed)
        return replace(after, completed_version=0) if back else after

    patch.setattr(connector, "_take_position", take_position)


def new_epoch_starts_completed(patch: Patch) -> None:
    """completed_version starts at the version of the epoch's first report, not at the one before it."""
    honest = connector._enter_epoch

    def enter_epoch(before: Connector, opened: connector.Epoch | None) -> Connector:
        after = honest(before, opened)
        return after if opened is None else replace(after, completed_version=before.version + 1)

    patch.setattr(connector, "_enter_epoch", enter_epoch)


def the_version_before_will_do(patch: Patch) -> None:
    """A report that is only one version late is let in."""
    honest = connector.check_precondition

    def check_precondition(before: Connector, report: Report) -> None:
        if report.if_match is None or report.if_match != before.visible_version - 1:
            honest(before, report)

    patch.setattr(connector, "check_precondition", check_precondition)


def removal_is_only_answered(patch: Patch) -> None:
    """Nothing is removed."""
    patch.setattr(report, "remove_connector", lambda connection, address: None)


def removal_overtakes(patch: Patch) -> None:
    """A removal takes no notice of what was recorded since it has read."""
    honest = reports.write_removal

    def write_removal(connection: Connection, change: Change) -> bool:
        present = select(models.Connector.version).where(models.Connector.id == change.address.id)
        before = replace(change.before, version=connection.scalars(present).one())
        return honest(connection, replace(change, before=before))

    patch.setattr(reports, "write_removal", write_removal)


def overtaken_is_answered_as_recorded(patch: Patch) -> None:
    """Nobody looks at what was written."""
    honest = reports.write

    def write(connection: Connection, changes: Collection[Change]) -> set[UUID]:
        honest(connection, list(changes))
        return {change.address.id for change in changes}

    patch.setattr(reports, "write", write)


def replies_before_it_commits(patch: Patch) -> None:
    """A transaction is committed when the next one begins, and lost if the process ends before."""
    pending: dict[Engine, Connection] = {}
    running: list[Engine] = []

    def close(pool: Engine, *, commit: bool = False) -> None:
        if connection := pending.pop(pool, None):
            connection.commit() if commit else connection.invalidate()
            connection.close()

    def once(pool: Engine, work: Callable[[Connection], Any]) -> Any:
        close(pool, commit=True)
        if not event.contains(pool, "engine_disposed", close):
            event.listen(pool, "engine_disposed", close)
        connection = pool.connect()
        running.append(pool)
        try:
            answer = work(connection)
        except BaseException:
            connection.close()
            raise
        finally:
            running.pop()
        pending[pool] = connection
        if running:  # in the midst of another one, which would wait for it
            close(pool, commit=True)
        return answer

    patch.setattr(engine, "_once", once)


def issues_without_a_commit(patch: Patch) -> None:
    """What is one statement is a transaction that nobody commits."""
    patch.setattr(engine, "_autocommit", lambda pool: pool)


def keeps_tokens_in_memory(patch: Patch) -> None:
    """Tokens are what they should be until the process ends."""
    memory: dict[TokenId, Any] = {}
    asked: ContextVar[TokenId | None] = ContextVar("asked", default=None)  # by this thread, of all that check tokens
    start, issue_token, find, statement = issue.Issuer.__init__, tokens.issue, tokens.find, engine.statement

    def started(issuer: issue.Issuer) -> None:
        memory.clear()
        start(issuer)

    def issued(connection: Connection, wanted: Sequence[Wanted]) -> list[Issued | TidemarkError]:
        made = issue_token(connection, wanted)
        for new in [each.token for each in made if isinstance(each, Issued)]:
            memory[new] = connection.execute(text(_TAKE), {"c": new.connector_id, "t": new.id}).one()
        return made

    def found(connection: Connection, wanted: Sequence[Place]) -> list[Found]:
        return [remembered(connection, each) for each in wanted]

    def remembered(connection: Connection, place: Place) -> Found:
        before = asked.set(place.token)
        try:
            return find(connection, [place])[0]
        finally:
            asked.reset(before)

    def remembering(name: str) -> TextClause:
        honest, token = statement(name), asked.get()
        if token is None or token not in memory:
            return honest
        row = _ROW.format(token.connector_id, token.id, *memory[token])
        return text(honest.text.replace("completion_token AS t", row))

    patch.setattr(issue.Issuer, "__init__", started)
    patch.setattr(tokens, "issue", issued)
    patch.setattr(tokens, "find", found)
    patch.setattr(tokens, "statement", remembering)
