"""The token protocol on a record that was restored to an earlier point, on random histories with ground truth.

What was under way is not stopped: reporters have learned versions of the history that is lost, and measured in it.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from app.domain.connector import Connector
from app.domain.position import SCALAR
from app.domain.status import Recording
from tests.domain.history import Early, Lost, Stuck, Token, Undone, World

HISTORIES = 1000
FAULTS = (Early, Undone, Lost, Stuck)
Rule = Callable[[Connector, int], Connector]
"""What becomes of a record when it is restored; the number is a clock's, which is later each time."""


def leave_lost_versions(record: Connector, clock: int) -> Connector:
    """As ``leave_lost_versions.sql`` does."""
    return replace(record, version=max(record.version + 1, clock), recording=Recording.SAMPLED)


def versions_come_twice(record: Connector, clock: int) -> Connector:
    return replace(record, recording=Recording.SAMPLED)


def the_same_gap_each_time(record: Connector, clock: int) -> Connector:
    return replace(record, version=record.version + 1_000_000, recording=Recording.SAMPLED)


def a_synchronous_record_is_taken_as_true(record: Connector, clock: int) -> Connector:
    return replace(record, version=max(record.version + 1, clock))


@dataclass
class Backup:
    record: Connector
    frozen: dict[int, int]
    closed_labels: set[str | None]
    tokens: list[tuple[Token, bool]]


@dataclass
class RestorableWorld(World):
    rule: Rule = leave_lost_versions
    backup: Backup | None = None
    restores: int = field(default=0)

    def back_up(self) -> None:
        if self.record.visible_version:
            tokens = [(token, token.was_complete) for token in self.tokens]
            self.backup = Backup(self.record, dict(self.frozen), set(self.closed_labels), tokens)

    def restore(self) -> None:
        """Tokens issued since are unknown; what was complete only since is to become so once more."""
        if self.backup is None:
            return
        kept = copy.copy(self.backup)
        self.restores += 1
        self.record = self.rule(kept.record, self.restores * 1_000_000)
        self.frozen, self.closed_labels = dict(kept.frozen), set(kept.closed_labels)
        self.tokens = [token for token, _ in kept.tokens]
        for token, was_complete in kept.tokens:
            token.was_complete = was_complete


# Nothing is removed: that a first report from before a removal may do harm is told of in docs/guarantees.md.
_STEPS = (
    *(("arrive", 8), ("process_all", 6), ("learn", 10), ("measure", 10), ("write", 14), ("issue", 12)),
    *(("status_only", 3), ("tell", 3), ("rewind", 0.5), ("restart", 0.5), ("write_as_zombie", 0.5)),
    *(("back_up", 3), ("restore", 3)),
)


def play(seed: int, rule: Rule, recording: Recording) -> int:
    """Plays one history and answers how often it was restored. Raises Early, Undone, Lost or Stuck."""
    rng = random.Random(seed)
    components = [SCALAR] if rng.random() < 0.4 else [str(n) for n in range(rng.randint(1, 3))]
    world = RestorableWorld(rng, recording, components, rule=rule)
    names, weights = zip(*_STEPS, strict=True)
    for name in rng.choices(names, weights, k=100):
        getattr(world, name)()
        world.judge()
    if world.record.epoch is not None and world.record.epoch.label == world.now.label:
        world.finish()
    return world.restores


@pytest.mark.parametrize("recording", Recording)
def test_no_token_is_early_undone_lost_or_stuck(recording: Recording) -> None:
    restored = 0
    for seed in range(HISTORIES):
        try:
            restored += play(seed, leave_lost_versions, recording)
        except FAULTS as fault:
            pytest.fail(f"play({seed}): {fault!r}")
    assert restored > HISTORIES


@pytest.mark.parametrize("rule", [versions_come_twice, the_same_gap_each_time, a_synchronous_record_is_taken_as_true])
def test_a_rule_that_does_less_is_caught(rule: Rule) -> None:
    """On synchronous connectors; what a sampled one takes is too rare here: see tests/store/test_restore.py."""

    def play_all() -> None:
        for seed in range(HISTORIES):
            play(seed, rule, Recording.SYNCHRONOUS)

    with pytest.raises(Early):
        play_all()
