"""Planted defects: each breaks one rule of the protocol, in the code or in its SQL, for as long as a patch lasts.

Beside each stand the broken promises by which the model test may find it. A defect that is found by anything else, or
not at all, shows that the model test is weaker than it claims.
"""

from collections.abc import Callable
from types import ModuleType

import pytest
from sqlalchemy import TextClause, text

from app.domain import connector, token
from app.services import check, report
from app.store import reports, tokens
from tests.domain import test_protocol
from tests.domain.history import Early, Lost, Stuck, Undone
from tests.robustness import misbehaviour as code
from tests.robustness import oversleeping as waits
from tests.robustness.ledger import Forgotten, Ghost, Refused, Unknown, Untied
from tests.robustness.waits import Dismissed, Overslept

Plant = Callable[[pytest.MonkeyPatch], None]
Faults = tuple[type[AssertionError], ...]


def in_domain(name: str) -> Plant:
    """A defect of the domain test's, planted also where a service has imported the function by its name."""
    plant, _ = test_protocol.MUTANTS[name]

    def everywhere(patch: pytest.MonkeyPatch) -> None:
        plant(patch)
        patch.setattr(check, "evaluate", token.evaluate)
        patch.setattr(report, "accept", connector.accept)
        patch.setattr(report, "remove", connector.remove)

    return everywhere


def in_sql(user: ModuleType, name: str, *clauses: tuple[str, str]) -> Plant:
    """The statement that ``user`` runs, with clauses of it replaced, each of which must be there once."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        honest: Callable[[str], TextClause] = user.statement
        changed = honest(name).text
        for old, new in clauses:
            assert changed.count(old) == 1, f"{name}.sql has not once but {changed.count(old)} times: {old}"
            changed = changed.replace(old, new)
        broken = text(changed)
        patch.setattr(user, "statement", lambda asked: broken if asked == name else honest(asked))

    return plant


def both(first: Plant, second: Plant) -> Plant:
    """A defect that only two changes together make."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        first(patch)
        second(patch)

    return plant


def _issue(old: str, new: str) -> Plant:
    return in_sql(tokens, "issue_token", (old, new))


def _check(old: str, new: str) -> Plant:
    return in_sql(tokens, "check_token", (old, new))


def _update(old: str, new: str) -> Plant:
    return in_sql(reports, "update_connectors", (old, new))


def _kept(column: str) -> Plant:
    """A column that keeps what the first report gave it."""
    return _update(f" {column} = r.{column},", f" {column} = c.{column},")


_AHEAD = "version + CAST(:sampled_ahead AS int)"
_REMEMBERED = "CASE WHEN hinted > 0 THEN hinted ELSE version END + CAST(:sampled_ahead AS int)"
_OWN_EPOCH = "CASE WHEN e.ended_at IS NULL THEN c.completed_version ELSE e.completed_version END"
_CLOSED = "(c.epoch_number > 0 AND r.label IS DISTINCT FROM c.epoch_label AND EXISTS ("
_ENDS = "WHERE e.connector_id = r.connector_id AND e.number = r.number"
_FREEZES = "SET completed_version = r.completed_version, ended_at"

_EVENTS = "version bigint, kind text, at timestamptz, details jsonb, tenant_id uuid\n           )"
_OPENED = "connector_id uuid, number bigint, label text, first_version bigint, started_at timestamptz\n           )"
_WITHOUT_KEYS = in_sql(  # in which a version that is taken twice would be noticed, and answered with a 500
    reports,
    "write_history",
    (_EVENTS, f"{_EVENTS} ON CONFLICT DO NOTHING"),
    (_OPENED, f"{_OPENED} ON CONFLICT DO NOTHING"),
)

DEFECTS: dict[str, tuple[Plant, Faults]] = {
    # what a token waits for
    "binding k": (in_domain("binding k"), (Early,)),
    "binding k+1": (in_domain("binding k+1"), (Early,)),
    "binding k+3": (in_domain("binding k+3"), (Stuck,)),
    "binding k in SQL": (_issue(_AHEAD, "version"), (Early,)),
    "binding k+1 in SQL": (_issue(_AHEAD, "version + 1"), (Early,)),
    "bound to a version remembered in memory": (_issue(_AHEAD, _REMEMBERED), (Early,)),
    "sampled bound to what is recorded": (_issue("WHEN 'sampled' THEN", "WHEN '' THEN"), (Early,)),
    "synchronous bound to the newest version": (_issue("ELSE position_version", "ELSE version"), (Stuck,)),
    "synchronous bound to an old position": (
        _update("position_version = r.position_version", "position_version = greatest(c.position_version, 1)"),
        (Early,),
    ),
    "issued before the first position": (
        in_sql(
            tokens,
            "issue_token",
            ("WHEN c.epoch_number > 0 AND", "WHEN c.id IS NOT NULL AND"),
            ("epoch_number,\n           CASE", "greatest(epoch_number, 1),\n           CASE"),
        ),
        (Untied,),
    ),
    "turning synchronous is not recorded": (_kept("recording"), (Stuck,)),
    "status only turns a connector synchronous": (code.status_turns_synchronous, (Early,)),
    # how a token is judged
    "> for >= between versions": (in_domain("> for >= between versions"), (Stuck, Undone)),
    "tokens of old epochs go on": (in_domain("tokens of old epochs go on"), (Lost,)),
    "tokens of old epochs go on in SQL": (
        _check("e.ended_at IS NOT NULL AS epoch_ended", "false AS epoch_ended"),
        (Lost,),
    ),
    "an old token meets the present completed_version": (_check(_OWN_EPOCH, "c.completed_version"), (Early,)),
    "an old token meets the newest epoch": (
        _check("e.number = t.epoch_number", "e.number = c.last_epoch"),
        (Early, Lost),
    ),
    "removal is not looked at": (_check("c.removed_at IS NOT NULL AS removed", "false AS removed"), (Ghost,)),
    "removal is for ever": (_check("c.removed_at IS NOT NULL AS removed", "e.removed AS removed"), (Ghost,)),
    "a complete token is not checked again": (code.complete_is_remembered, (Ghost,)),
    "tokens expire at once": (code.tokens_expire_at_once, (Unknown,)),
    # how positions compare
    "> for >= between positions": (in_domain("> for >= between positions"), (Stuck,)),
    "any component for all": (in_domain("any component for all"), (Early, Stuck)),
    "a missing component is reached": (in_domain("a missing component is reached"), (Early,)),
    "a component without input must be completed": (code.nothing_must_be_completed, (Stuck,)),
    "unknown completed is complete": (in_domain("unknown completed is complete"), (Early,)),
    "empty completed is complete": (code.empty_is_complete, (Early,)),
    "one total for all components": (code.totals_are_compared, (Early,)),
    "components by their order": (code.components_are_compared_in_order, (Early, Stuck)),
    "offsets pass through a double": (code.offsets_pass_through_a_double, (Early, Stuck, Refused)),
    "received may go back": (in_domain("received may go back"), (Early, Undone, Lost, Stuck, Refused)),
    "received is not recorded": (
        _update(" received = r.received", " received = coalesce(c.received, r.received)"),
        (Early, Undone, Lost, Stuck, Refused),
    ),
    "received must grow": (code.received_must_grow, (Refused,)),
    # how a connector advances
    "newest version when anything drops": (in_domain("newest version when anything drops"), (Early,)),
    "version moves though more came in": (in_domain("version moves though more came in"), (Early,)),
    "every report completes": (
        _update("completed_version = r.completed_version", "completed_version = r.version"),
        (Early,),
    ),
    "status-only counts as position": (in_domain("status-only counts as position"), (Early, Refused)),
    "no latch on rewind": (code.no_latch_on_rewind, (Undone,)),
    "thinning keeps the older position": (in_domain("thinning keeps the older position"), (Early,)),
    "the frontier is not recorded": (
        _update("frontier = r.frontier,", "frontier = c.frontier,"),
        (Early, Undone, Stuck),
    ),
    # epochs and removals
    "epoch ignored": (in_domain("epoch ignored"), (Early, Lost, Refused)),
    "new label is not recorded": (_kept("epoch_label"), (Lost, Refused)),
    "new epoch starts completed": (code.new_epoch_starts_completed, (Early,)),
    "new epoch keeps the frontier": (in_domain("new epoch keeps the frontier"), (Early, Undone, Lost, Stuck)),
    "zombies are accepted": (in_domain("zombies are accepted"), (Early, Stuck, Lost, Refused)),
    "zombies are not known": (
        in_sql(reports, "load_connectors", (_CLOSED, "(false AND EXISTS (")),
        (Early, Stuck, Lost, Refused),
    ),
    "nameless zombies are not known": (
        in_sql(reports, "load_connectors", ("e.label IS NOT DISTINCT FROM r.label", "e.label = r.label")),
        (Early, Stuck, Lost, Refused),
    ),
    "an old epoch's end is moved on": (in_domain("old tokens meet the new completed_version"), (Early,)),
    "an epoch ends too far": (
        in_sql(reports, "write_history", (_FREEZES, "SET completed_version = r.completed_version + 2, ended_at")),
        (Early,),
    ),
    "an epoch's end ends all": (
        in_sql(reports, "write_history", (_ENDS, "WHERE e.connector_id = r.connector_id")),
        (Early,),
    ),
    "removal leaves the epoch open": (in_domain("removal leaves the epoch open"), (Early, Undone, Lost, Stuck)),
    "removal is only answered": (code.removal_is_only_answered, (Ghost, Forgotten)),
    "removal overtakes a report": (code.removal_overtakes, (Undone, Forgotten)),
    # conditional writes
    "stale reports are accepted": (in_domain("stale reports are accepted"), (Early,)),
    "the version before will do": (code.the_version_before_will_do, (Early,)),
    "late reports turn synchronous": (code.late_reports_turn_synchronous, (Early,)),
    "late reports open epochs": (code.late_reports_open_epochs, (Early, Lost)),
    "no version needed": (in_domain("no version needed"), (Early,)),
    "written over another report": (
        both(_update("c.version = r.expected_version AND", ""), _WITHOUT_KEYS),
        (Forgotten,),
    ),
    "written over a removal": (
        _update(" AND (c.removed_at IS NOT NULL) = r.expected_removed", ""),
        (Forgotten, Ghost, Lost),
    ),
    "overtaken is answered as recorded": (both(code.overtaken_is_answered_as_recorded, _WITHOUT_KEYS), (Forgotten,)),
    # what outlives the process
    "replies before it commits": (code.replies_before_it_commits, (Forgotten, Early, Refused, Ghost)),
    "issues without a commit": (code.issues_without_a_commit, (Unknown,)),
    "keeps tokens in memory": (code.keeps_tokens_in_memory, (Unknown,)),
    # who waits
    "a notification is believed, and lies": (
        both(waits.woken_is_complete, _update("c.completed_version, r.tell", "c.version AS completed_version, r.tell")),
        (Early, Undone),
    ),
    "any movement is believed": (both(waits.woken_is_complete, waits.any_movement_settles), (Early, Undone)),
    "any movement is an answer": (both(waits.woken_is_answered, waits.any_movement_settles), (Dismissed,)),
    "the end of an epoch settles nothing": (waits.epochs_do_not_end, (Overslept,)),
    "a lost token ends no wait for all": (waits.lost_is_one_of_many, (Overslept,)),
    "any is taken for all": (waits.any_is_all, (Dismissed, Overslept)),
    "what is heard while looking is forgotten": (
        both(waits.forgets_what_it_heard, waits.nobody_looks_again),
        (Overslept,),
    ),
    "nobody is told, and nobody looks again": (
        both(_update("WHERE tell)", "WHERE false)"), waits.nobody_looks_again),
        (Overslept,),
    ),
}
