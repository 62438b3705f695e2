"""SECURITY.md promises what tests hold: each that it names is there, and each defence names one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text()


def test_each_test_that_it_names_is_there() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", PAGE))
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_each_defence_that_it_tells_of_names_a_test() -> None:
    for threat, defence, test in re.findall(r"^\| ([^|]+) \| ([^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE):
        assert not defence.strip() or test == "test" or "`tests/" in test, threat
