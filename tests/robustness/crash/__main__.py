"""``python -m tests.robustness.crash``: run for so many minutes, or check a history once more."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.robustness.crash.checker import check
from tests.robustness.crash.history import History
from tests.robustness.crash.nemesis import DECK
from tests.robustness.crash.run import Result, Setting, crash_run
from tests.robustness.crash.summary import Summary


def main() -> int:
    """Does what the command line says; answers 0 if the promise was kept and enough happened to say so."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.crash", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    run = commands.add_parser("run", help="run the server among crashes, and check its history")
    run.add_argument("--minutes", type=float, default=20)
    run.add_argument("--seed", type=int, help="repeats the kills and the clients' choices, not how they interleave")
    run.add_argument("--directory", type=Path, help="for the database, the log and the history; else a temporary one")
    again = commands.add_parser("check", help="check a history that a run has written")
    again.add_argument("file", type=Path)
    given = parser.parse_args()
    return _check(given.file) if given.command == "check" else _run(given.minutes, given.seed, given.directory)


def _run(minutes: float, seed: int | None, directory: Path | None) -> int:
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    place = directory or Path(tempfile.mkdtemp(prefix="tidemark-crash-"))
    place.mkdir(parents=True, exist_ok=True)
    print(f"seed: {seed}, {minutes:g} minutes", flush=True)
    setting = Setting(directory=place, seed=seed, seconds=minutes * 60)
    result = crash_run(setting, lambda line: print(line, file=sys.stderr, flush=True))
    print(result.told())
    missing = Summary.of(result.history).shortfalls(setting.seconds, DECK)
    if missing:
        print(f"too little happened to show anything; missing: {', '.join(missing)}")
    if result.violations or missing:
        print(f"what is left of it: {place}")
        return 1
    if directory is None:
        shutil.rmtree(place)
    return 0


def _check(file: Path) -> int:
    with file.open() as lines:
        history = History.load(lines)
    result = Result(history, check(history))
    print(result.told())
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
