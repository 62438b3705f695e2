"""`make fuzz`: Schemathesis with every credential in turn, until there were enough requests."""

import argparse
import random
import sys
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from app.embedded import embedded_postgres
from app.store import schema
from tests.fuzz.application import CREDENTIALS, subject
from tests.fuzz.openapi import explore

_EXAMPLES = 60  # of an operation, in each of the phases that draw them


def main() -> int:
    """Prints what each round did, what was found and how many requests there were; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--requests", type=int, default=20_000, help="go on until there were so many")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the first round")
    arguments = parser.parse_args()
    found = total = 0
    with TemporaryDirectory(prefix="tidemark-fuzz-") as directory, embedded_postgres(Path(directory)) as url:
        schema.upgrade(url)
        for seed in count(arguments.seed):
            for credential in CREDENTIALS:
                requests, findings = _round(url, credential, seed)
                total, found = total + requests, found + findings
            if total >= arguments.requests:
                break
    print(f"{total:,} requests, {found} findings; SEED={arguments.seed} repeats them")
    return 1 if found else 0


def _round(url: str, credential: str, seed: int) -> tuple[int, int]:
    """How many requests there were and what was wrong, in a tenant of the round's own, so that it can be repeated."""
    with subject(url, f"fuzz-{credential}-{seed}", blocks=2) as fuzzed:
        before = fuzzed.requests
        findings = explore(fuzzed, credential, seed=seed, examples=_EXAMPLES)
        for finding in findings:
            print(f"\n{finding}\n")
        requests = fuzzed.requests - before
        answered = ", ".join(f"{number:,} × {status}" for status, number in sorted(fuzzed.answered.items()))
    print(f"{credential}, seed {seed}: {requests:,} requests ({answered})", flush=True)
    return requests, len(findings)


if __name__ == "__main__":
    sys.exit(main())
