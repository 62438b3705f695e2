"""The test of the model test: it finds every planted defect, and by the promise that this one breaks."""

import os
from collections import Counter

import pytest
from hypothesis import Phase

from app.domain import frontier
from tests.robustness.defects import DEFECTS
from tests.robustness.rounds import play

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
    print(f"MODEL_SEED={SEED}")
    tally: Counter[str] = Counter()
    with pytest.raises(faults) as found:
        play(database_url, tally, seed=SEED, examples=EXAMPLES, phases=[Phase.generate])
    print(f"{found.type.__name__} in example {tally['examples']}")
