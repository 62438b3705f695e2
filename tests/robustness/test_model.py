"""The token protocol through the real code on a real database: random histories with the truth at hand."""

import os
import random
from collections import Counter

import pytest
import sqlalchemy as sa

from app.domain import connector, frontier
from app.domain.frontier import Frontier
from tests.robustness.rounds import STEPS, play

EXAMPLES = 1000
ENOUGH = {
    "steps": STEPS - 1,
    "with a token": 0.65,
    "accepted": 20,
    "PreconditionFailed": 1,
    "PreconditionRequired": 0.7,
    "PositionRegressed": 0.1,
    "EpochSuperseded": 0.1,
    "thinned": 0.3,
    "removed": 0.7,
    "restarts": 0.7,
    "issued": 4,
    "checked": 80,
    "completed": 3,
    "completed before the end": 1.5,
    "lost": 0.8,
    "waits": 1.3,
    "waits ended complete": 0.8,
    "waits ended lost": 0.2,
}
"""What has to happen in an example on average, or the examples prove too little."""


@pytest.fixture
def database(clone: str) -> str:
    """A database that need not survive a crash."""
    engine = sa.create_engine(clone, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{engine.url.database}" SET synchronous_commit = off'))
    return clone


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what happens. The machine sets how long a frontier may be."""
    counted: Counter[str] = Counter()

    def thin(checkpoints: Frontier) -> Frontier:
        left = frontier.thin(checkpoints)
        counted["thinned"] += len(left) < len(checkpoints)
        return left

    monkeypatch.setattr(connector, "thin", thin)
    monkeypatch.setattr(frontier, "MAX_CHECKPOINTS", frontier.MAX_CHECKPOINTS)
    return counted


@pytest.mark.timeout(1800)
def test_tokens_are_told_the_truth(database: str, tally: Counter[str]) -> None:
    seed = int(os.environ.get("MODEL_SEED") or random.getrandbits(32))
    examples = int(os.environ.get("MODEL_EXAMPLES") or EXAMPLES)
    print(f"MODEL_SEED={seed} MODEL_EXAMPLES={examples}")
    play(database, tally, seed=seed, examples=examples)
    print(dict(tally))
    if examples >= 100:
        few = {name: tally[name] for name, least in ENOUGH.items() if tally[name] < least * examples}
        assert not few, f"too little happens to prove anything: {few} of {dict(tally)}"
