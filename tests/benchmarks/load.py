"""Load by wrk: 64 keep-alive connections over loopback, and what it costs the processes that answer."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CONNECTIONS = 64
_EVENT = "instructions:u"
_COUNTER = ("perf", "stat", "--field-separator", ",", "--event", _EVENT)
_SCRIPT = Path(__file__).with_name("load.lua")


class LoadError(Exception):
    """A request of a run failed, so the run says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run of wrk saw."""

    requests: int
    rate: float  # requests a second
    p50_ms: float
    p99_ms: float
    kilo_instructions: float | None  # a request, of the processes that were watched; None where perf cannot count them


@dataclass(frozen=True, slots=True)
class Mix:
    """Requests to choose from: a file with one path a line."""

    file: Path


@contextmanager
def mix(lines: Iterable[str]) -> Iterator[Mix]:
    with tempfile.NamedTemporaryFile("w", prefix="tidemark-paths-", suffix=".txt") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        yield Mix(Path(file.name))


def wrk(
    base: str,
    requests: Mix,
    seconds: float,
    *,
    seed: int = 1,
    authorization: str = "",
    watched: Sequence[int] = (),
    script: Path = _SCRIPT,
) -> Run:
    """One run. Raises LoadError unless every request got an answer below 400.

    ``script`` says what is sent of the lines of the mix; ``watched`` are the PIDs of the processes whose instructions
    are to be counted.
    """
    counter = (*_COUNTER, "--pid", ",".join(map(str, watched)), "--") if watched and can_count() else ()
    command = (
        *(*counter, "wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds:.0f}s"),
        *("--timeout", "5s", "--script", str(script), base, "--", str(requests.file), str(seed), authorization),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    failed = {name: told[name] for name in ("connect", "read", "write", "status", "timeout") if told[name]}
    if failed or not told["requests"]:
        raise LoadError(f"{base}: of {told['requests']} requests failed: {failed}")
    return Run(
        requests=told["requests"],
        rate=told["requests"] / told["microseconds"] * 1e6,
        p50_ms=told["p50"] / 1000,
        p99_ms=told["p99"] / 1000,
        kilo_instructions=_counted(done.stderr) / told["requests"] / 1000 if counter else None,
    )


@cache
def can_count() -> bool:
    """Whether perf is here, and the processor, or whoever hides it, lets it count instructions."""
    if shutil.which("perf") is None:
        return False
    tried = subprocess.run([*_COUNTER, "--", "true"], capture_output=True, text=True, check=False)
    return tried.returncode == 0 and "<not" not in tried.stderr


def _counted(text: str) -> float:
    """The number in what ``perf stat --field-separator ,`` prints."""
    (line,) = (line for line in text.splitlines() if _EVENT in line)
    return float(line.split(",")[0])
