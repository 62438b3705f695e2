"""The promise among crashes: the real server, Postgres and workers killed all the time, and every answer held against
the truth. And the proof that this would find something: servers and databases that do break the promise.
"""

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.robustness.crash.nemesis import DECK, plans
from tests.robustness.crash.run import Setting, crash_run
from tests.robustness.crash.service import defective
from tests.robustness.crash.summary import Summary
from tests.robustness.crash.violation import Fault

SECONDS = 90.0
SOUGHT_SECONDS = 60.0  # normally a few


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A run whose kills and choices the printed seed repeats; how they interleave, nothing can repeat."""
    seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().getrandbits(32))
    print(f"\nCRASH_SEED={seed}")
    return Setting(directory=tmp_path, seed=seed, seconds=SECONDS)


@pytest.mark.timeout(600)
def test_no_crash_breaks_the_promise(setting: Setting) -> None:
    result = crash_run(setting, print)
    print(result.told())
    assert result.violations == []
    assert Summary.of(result.history).shortfalls(SECONDS, DECK) == []


def found(setting: Setting, *sought: Fault) -> None:
    """Runs until one of these faults is found."""
    result = crash_run(replace(setting, seconds=SOUGHT_SECONDS, sought=sought), print)
    print(result.told())
    assert {violation.fault for violation in result.violations} & set(sought), "not found"


@pytest.mark.timeout(300)
def test_a_database_that_does_not_wait_for_its_disk_is_found(setting: Setting) -> None:
    postgres = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
    unsafe = replace(setting, postgres=postgres, environment={"ALLOW_UNSAFE_DATABASE": "1"}, deck=("postmaster",))
    found(unsafe, Fault.LOST, Fault.REUSED, Fault.STALE)


@pytest.mark.timeout(300)
def test_an_answer_before_commit_is_found(setting: Setting) -> None:
    found(replace(setting, command=defective("late-commit")), Fault.LOST, Fault.REUSED, Fault.STALE)


@pytest.mark.timeout(300)
def test_a_token_that_only_a_worker_remembers_is_found(setting: Setting) -> None:
    """There is one worker, so that nothing but its death loses a token."""
    command, environment = defective("token-in-memory"), {"WORKERS": "1"}
    found(replace(setting, command=command, environment=environment, deck=("worker",)), Fault.LOST)


@pytest.mark.timeout(300)
def test_a_token_that_waits_for_too_little_is_found(setting: Setting) -> None:
    found(replace(setting, command=defective("stale-binding")), Fault.EARLY)


@pytest.mark.timeout(300)
def test_a_wait_that_nobody_ends_is_found(setting: Setting) -> None:
    """No worker is killed, so that those who are asleep sleep on to the end of their time."""
    found(replace(setting, command=defective("deaf-waiters"), deck=("backends terminated",)), Fault.OVERSLEPT)


def test_a_seed_repeats_the_kills() -> None:
    first, again, other = (plans(random.Random(seed)) for seed in ("1/nemesis", "1/nemesis", "2/nemesis"))
    kills = [next(first) for _ in range(50)]
    assert kills == [next(again) for _ in range(50)]
    assert kills != [next(other) for _ in range(50)]
    assert {kill.kind for kill in kills[: len(DECK)]} == set(DECK)
