"""The test of the model test: it finds every planted defect, and by the promise that this one breaks."""

import os
from collections import Counter
from functools import partial

import pytest
from hypothesis import Phase
from hypothesis.errors import FlakyFailure, FlakyStrategyDefinition

from app.domain import frontier
from tests.robustness import waits
from tests.robustness.defects import DEFECTS
from tests.robustness.rounds import play
from tests.robustness.waits import Overslept

EXAMPLES = 1000  # at most
SEED = int(os.environ.get("MODEL_SEED") or 1)  # always the same: that this one finds them all is no chance


@pytest.fixture(autouse=True)
def _frontier_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine shortens it as it likes."""
    monkeypatch.setattr(frontier, "MAX_CHECKPOINTS", frontier.MAX_CHECKPOINTS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, faults = DEFECTS[name]
    plant(monkeypatch)
    if Overslept in faults:
        monkeypatch.setattr(waits, "SLACK_SECONDS", 0.5)  # who sleeps on now does so because of the defect
    print(f"MODEL_SEED={SEED}")
    tally: Counter[str] = Counter()
    with pytest.raises((*faults, FlakyFailure)) as found:
        search(database_url, tally)
    errors = found.value.exceptions if isinstance(found.value, FlakyFailure) else [found.value]
    assert all(isinstance(error, faults) for error in errors), errors
    print(f"{type(errors[0]).__name__} in example {tally['examples']}")


def search(url: str, tally: Counter[str]) -> None:
    """Plays until it finds something, and raises that.

    One of those who wait may be answered a moment sooner or later when hypothesis plays again what it found. It tells
    of it all the same, as a FlakyFailure. Once it found that the second game drew otherwise, and told of nothing, which
    was never explained: only then is everything played once more.
    """
    once = partial(play, url, tally, seed=SEED, examples=EXAMPLES, phases=[Phase.generate])
    try:
        once()
    except FlakyStrategyDefinition:
        tally.clear()
        once()
