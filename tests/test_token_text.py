"""A token's explanation as `tidemark token show` prints it."""

from datetime import timedelta

from app.domain.explanation import explain
from app.domain.frontier import Checkpoint
from app.domain.position import Position
from app.token_text import token_text
from tests.domain.explaining import NOW, TOKEN, known


def test_an_unfinished_token_is_told_with_what_is_missing_and_for_how_long() -> None:
    assert token_text(explain(TOKEN, known())).splitlines() == [
        "status     inprogress",
        "why        15 records are still to be completed, which takes about 6 s.",
        "connector  orders.billing of pipeline demo, tenant default",
        "issued     2025-12-31T23:59:30.000000Z by ci, in epoch 1 (run-1)",
        "waits for  version 3 to be completed; version 2 is, the newest is 5",
        "reports    running, moving; the newest is of 2025-12-31T23:59:59.000000Z",
        "position   that of version 4, first recorded 5 s ago",
        "missing    component  needed  reached  missing",
        "           a              40       25       15",
        "rate       2.0 records/s: 20 from 2025-12-31T23:59:49.000000Z to 2025-12-31T23:59:59.000000Z",
        "eta        2026-01-01T00:00:06.500000Z, in about 6 s, by component a",
    ]


def test_a_stream_without_components_has_a_line_without_a_name() -> None:
    text = token_text(explain(TOKEN, known(frontier=(Checkpoint(3, Position.parse(5), NOW),), completed=Position({}))))
    assert "           -               5        ?        ?" in text.splitlines()


def test_only_the_worst_twenty_components_are_listed() -> None:
    needed = Position({f"topic-{n}": 10**n for n in range(1, 19)} | {f"more-{n}": 1 for n in range(5)})
    frontier = (Checkpoint(3, needed, NOW),)
    lines = token_text(explain(TOKEN, known(frontier=frontier, completed=Position(dict.fromkeys(needed.offsets, 0)))))
    table = lines[lines.index("missing ") :].splitlines()
    assert table[1].split() == ["topic-18", "1" + 18 * "0", "0", "1" + 18 * "0"]
    assert table[20].split() == ["more-1", "1", "0", "1"]
    assert table[21].split() == ["and", "3", "more"]
    assert len({len(line) for line in table[:21]}) == 1


def test_an_overdue_report_is_told() -> None:
    text = token_text(explain(TOKEN, known(not_reporting_since=NOW - timedelta(seconds=60))))
    assert "and the next one is overdue" in text


def test_the_history_that_is_left_tells_when_a_token_was_done() -> None:
    done = NOW - timedelta(seconds=10)
    bounded = explain(
        TOKEN, known(completed_version=3, first_complete=done, last_incomplete=done - timedelta(seconds=1))
    )
    assert token_text(bounded).endswith("completed  after 2025-12-31T23:59:49.000000Z, by 2025-12-31T23:59:50.000000Z")
    assert token_text(explain(TOKEN, known(completed_version=3, first_complete=done))).endswith(
        "completed  by 2025-12-31T23:59:50.000000Z"
    )


def test_no_epoch_may_command_the_terminal() -> None:
    text = token_text(explain(TOKEN, known(epoch_label="\x1b[2Jrun")))
    assert "in epoch 1 ('\\x1b[2Jrun')" in text
    assert "in epoch 1\n" in token_text(explain(TOKEN, known(epoch_label=None)))
