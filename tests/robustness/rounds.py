"""Rounds of the model test."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.robustness.model import Model
from tests.robustness.world import World

STEPS = 40
_ROUND = 9  # examples, of which the first is always the simplest; after one more, hypothesis would mutate them


def play(url: str, tally: Counter[str], *, seed: int, examples: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    """Plays so many examples at least, all drawn from the seed; what happens in them is counted in ``tally``.

    In rounds of a few, each with a seed of its own: as soon as hypothesis trusts a test, it goes on with five mutations
    of every example, and that many histories of a kind prove less than histories of their own.
    """
    while tally["examples"] < examples:
        try:
            _play_round(url, tally, seed, phases)
        except Exception as error:
            error.add_note(f"MODEL_SEED={seed} MODEL_EXAMPLES=1 plays it again")
            raise
        tally["examples"] -= 1  # the simplest
        seed += 1


def _play_round(url: str, tally: Counter[str], seed: int, phases: Sequence[Phase]) -> None:
    @hypothesis.seed(seed)
    def machine() -> Model:
        return Model(World(url, tally))

    run_state_machine_as_test(
        cast("type[Model]", machine),  # any factory will do
        settings=settings(
            max_examples=_ROUND,
            stateful_step_count=STEPS,
            phases=phases,
            deadline=None,
            database=None,
            derandomize=False,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow],  # how fast it draws depends on who else is at work
        ),
    )
