"""``make bench``: alternatives measured in turn in one run, because machines are noisy; the ratios are what counts."""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.embedded import embedded_postgres
from app.store import schema
from tests.benchmarks import table
from tests.benchmarks.bench import Bench
from tests.benchmarks.comparisons import COMPARISONS
from tests.benchmarks.load import CONNECTIONS, can_count
from tests.benchmarks.measure import Settings
from tests.benchmarks.servers import WORKERS


def main() -> None:
    """Prints the table, and writes everything that was measured to a file."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which unwinds, and so ends all that was started
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the embedded Postgres, and nginx, may run as users of their own
        with embedded_postgres(directory / "postgres") as url:
            schema.upgrade(url)
            settings = Settings(rounds=asked.rounds, seconds=asked.seconds, days=asked.days)
            with Bench(directory, url, settings, _progress) as bench:
                _progress("making the connectors")
                bench.fill()
                try:
                    # In their own order: some add connectors, of which those before them must not know.
                    for comparison in [each for each in COMPARISONS if not asked.only or each in asked.only]:
                        _progress(comparison)
                        bench.found += COMPARISONS[comparison](bench)
                finally:
                    _progress("")
                    _print(bench)
                _write(asked.json, bench)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each alternative")
    parser.add_argument("--seconds", type=float, default=2, help="of one run")
    parser.add_argument("--days", type=int, default=7, help="of the history that questions are asked of, at least 7")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, metavar="NAME", help=", ".join(COMPARISONS))
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"), help="the file for all that was measured")
    return parser.parse_args()


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _print(bench: Bench) -> None:
    print("\n".join(table.lines(bench.found)))
    if bench.disturbed:
        print(
            f"Others used more than a twentieth of the machine during {bench.disturbed} of {bench.runs} runs: "
            "measure again when it is quiet."
        )


def _write(file: Path, bench: Bench) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "postgres": _settings(bench.engine),
            "instructions_counted": can_count(),
        },
        "load": {"connections": CONNECTIONS, "rounds": bench.settings.rounds, "seconds": bench.settings.seconds},
        "workers": WORKERS,
        "comparisons": [comparison.to_json() for comparison in bench.found],
        "measured": bench.measured,
        "runs": bench.runs,
        "disturbed_runs": bench.disturbed,
    }
    file.write_text(json.dumps(content, indent=2) + "\n")


def _settings(engine: sa.Engine) -> dict[str, Any]:
    """What decides whether commits are durable."""
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_connections")
    with engine.connect() as connection:
        return {name: connection.scalar(sa.text(f"SHOW {name}")) for name in names}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
