"""The test of the model test: it finds every planted defect, and by the promise that this one breaks."""

import os
from collections import Counter

import pytest
from hypothesis import Phase
from hypothesis.errors import FlakyFailure

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
        play(database_url, tally, seed=SEED, examples=EXAMPLES, phases=[Phase.generate])
    # One of those who wait may be answered a moment sooner or later when hypothesis plays it again.
    errors = found.value.exceptions if isinstance(found.value, FlakyFailure) else [found.value]
    assert all(isinstance(error, faults) for error in errors), errors
    print(f"{type(errors[0]).__name__} in example {tally['examples']}")
