"""The page about waiting is run: each of its ways to wait, against the real server, through a relay that counts."""

import asyncio
import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from feldera.rest.errors import FelderaAPIError, FelderaTimeoutError

from tests.pages import BASE, blocks, play
from tests.pipeline import Pipeline, running
from tests.relay import Relay, relaying
from tests.serving import CONNECTOR, Server, serving, until

OTHER = "/v0/pipelines/shop/tables/orders/connectors/search"  # of the barrier
LONG = 7  # seconds: more than httpx waits for an answer unless told to, and a pause
REFUSALS = [(503, 3), (429, 2), None]

SDK, ONCE, ONE, MANY, BARRIER, SENSOR = blocks("waiting", "python")
(SCRIPT,) = blocks("waiting", "bash")
POKING = """
publish()
path = "/v0/pipelines/demo/tables/orders/connectors/billing/completion_token"
token = httpx.get("http://localhost:8080" + path).json()["token"]
sensor = TokenSensor("http://localhost:8080", "demo", token)
for _ in range(pokes):
    if sensor.poke({}):
        read()
        break
"""  # as Airflow would


@dataclass(kw_only=True)
class Trial:
    """What a way to wait is tried on, and what came of it."""

    relay: Relay
    directory: Path
    pipelines: list[Pipeline]
    several: bool = False  # whether all of these are written to and waited for, or only the first
    name: str = "demo"  # the pipeline's
    seconds: int = 60
    read: list[bool] = field(default_factory=list)  # whether all that was written was there, each time that it was read

    @property
    def concerned(self) -> list[Pipeline]:
        return self.pipelines if self.several else self.pipelines[:1]

    def written(self) -> None:
        assert not self.relay.issued, "first comes the write, then the token"
        for pipeline in self.concerned:
            pipeline.publish()

    def looked(self) -> None:
        self.read.append(all(pipeline.processed >= pipeline.published for pipeline in self.concerned))

    def adapted(self, text: str) -> str:
        """A snippet for this server, pipeline and time."""
        text = text.replace(BASE, self.relay.base)
        text = text.replace('"demo"', f'"{self.name}"').replace("/demo/", f"/{self.name}/")
        return text.replace("=600", f"={self.seconds}").replace("wait=30", f"wait={min(30, self.seconds)}")

    def run(self, *snippets: str) -> str:
        """Runs Python; tells how it ended."""
        names = {"publish": self.written, "read": self.looked, "pokes": 1 if self.seconds < 30 else 10}
        try:
            exec(self.adapted("\n".join(snippets)), names)
        except FelderaAPIError as error:
            return {410: "lost"}[error.status_code]
        except FelderaTimeoutError:
            return "time over"
        except Exception as error:
            if type(error).__name__ != "TokenLost":
                raise
            return "lost"
        return "complete" if self.read else "time over"


def by_barrier(trial: Trial) -> str:
    trial.several = True
    return trial.run(ONCE, MANY, BARRIER)


def by_script(trial: Trial) -> str:
    trial.written()
    path = CONNECTOR.replace("demo", trial.name)
    token = requests.get(f"{trial.relay.base}{path}/completion_token", timeout=10).json()["token"]
    code, _ = script(trial, trial.name, token, str(trial.seconds))
    if code == 0:
        trial.looked()
    return ["complete", "lost", "time over"][code]


def script(trial: Trial, *arguments: str, **environment: str) -> tuple[int, str]:
    """The script's exit code, and what it prints. Its pauses take no time, and are written down."""
    program = trial.directory / "wait-for-token"
    program.write_text(SCRIPT)
    path = f"{trial.directory / 'bin'}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", program, *arguments],
        env={"PATH": path, "TIDEMARK_URL": trial.relay.base} | environment,
        capture_output=True,
        text=True,
    )  # without a time-out, for which Python itself would pause
    assert not ran.stdout
    return ran.returncode, ran.stderr


WAYS: dict[str, Callable[[Trial], str]] = {
    "the SDK": lambda trial: trial.run(SDK),
    "httpx": lambda trial: trial.run(ONCE, ONE),
    "a barrier": by_barrier,
    "a sensor": lambda trial: trial.run(ONCE, SENSOR, POKING),
    "a script": by_script,
}
every_way = pytest.mark.parametrize("wait", WAYS.values(), ids=WAYS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("waiting") / "var") as server:
        yield server


@pytest.fixture(scope="module")
def pipelines(server: Server) -> Iterator[list[Pipeline]]:
    """Those that the page names."""
    with running(server.base + CONNECTOR) as one, running(server.base + OTHER) as other:
        yield [one, other]


@pytest.fixture
def trial(server: Server, pipelines: list[Pipeline], tmp_path: Path) -> Iterator[Trial]:
    with relaying(server.base) as relay:
        yield Trial(relay=relay, directory=tmp_path, pipelines=pipelines)


@pytest.fixture
def silent(server: Server, trial: Trial) -> Trial:
    """Of a pipeline whose one connector has reported once, and never will again."""
    trial.name = uuid.uuid4().hex
    report = {"position": {"received": 7, "completed": 5}}
    url = server.base + CONNECTOR.replace("demo", trial.name)
    requests.put(f"{url}/stats", json=report, headers={"If-Match": '"0"'}, timeout=10).raise_for_status()
    return trial


@pytest.fixture
def pauses(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[float]]:
    """The pauses that clients make between two requests, and which take no time here."""
    made: list[float] = []
    here, sleep = threading.get_ident(), time.sleep

    def pause(seconds: float) -> None:
        if threading.get_ident() == here:
            made.append(seconds)
        else:
            sleep(seconds)

    async def async_pause(seconds: float) -> None:
        pause(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    monkeypatch.setattr(asyncio, "sleep", async_pause)
    log = trial.directory / "pauses"
    log.touch()
    program = trial.directory / "bin" / "sleep"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1" >> {log}\n')
    program.chmod(0o755)
    return lambda: made + [float(line) for line in log.read_text().split()]


@every_way
def test_who_waits_reads_what_was_written_and_asks_only_once(trial: Trial, wait: Callable[[Trial], str]) -> None:
    assert wait(trial) == "complete"
    assert trial.read == [True]
    assert len(trial.relay.checks) == 1


@pytest.mark.parametrize(
    ("way", "seconds"),
    [("the SDK", 1), ("httpx", LONG), ("a barrier", LONG), ("a sensor", 1), ("a script", 1)],
)
def test_when_the_time_is_over_nothing_is_read(silent: Trial, way: str, seconds: int) -> None:
    silent.seconds = seconds
    assert WAYS[way](silent) == "time over"
    assert not silent.read
    assert len(silent.relay.checks) == 1, "the server is asked to wait, and the client waits for its answer"


@pytest.mark.parametrize("way", ["httpx", "a barrier", "a script"])
def test_who_has_no_time_asks_all_the_same(silent: Trial, way: str) -> None:
    silent.seconds = 0
    assert WAYS[way](silent) == "time over"
    assert silent.relay.checks


@every_way
def test_who_waits_for_what_gets_lost_is_told_so(server: Server, silent: Trial, wait: Callable[[Trial], str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait, silent)
        until(lambda: bool(silent.relay.checks))
        url = server.base + CONNECTOR.replace("demo", silent.name)
        requests.delete(url, timeout=10).raise_for_status()
        assert waiting.result() == "lost"
    assert not silent.read


@every_way
def test_a_server_that_cannot_answer_just_now_is_asked_again(
    trial: Trial, pauses: Callable[[], list[float]], wait: Callable[[Trial], str]
) -> None:
    trial.relay.refusals = [*REFUSALS]
    assert (wait(trial), trial.read) == ("complete", [True])
    assert pauses() == [3, 2, 8 if wait is WAYS["the SDK"] else 1]
    assert len(trial.relay.checks) == len(REFUSALS) + 1


def test_the_script_tells_what_is_wrong_with_a_request_and_sends_the_key(trial: Trial) -> None:
    told = script(trial, "demo", "nonsense")
    assert told == (1, "InvalidParam: Invalid parameter: token: not a completion token\n")
    script(trial, "demo", "nonsense", TIDEMARK_API_KEY="tmk_it")
    assert [check["Authorization"] for check in trial.relay.checks] == [None, "Bearer tmk_it"]


def test_the_sensor_sends_its_headers(trial: Trial) -> None:
    names: dict[str, Any] = {}
    exec(ONCE + SENSOR, names)
    sensor = names["TokenSensor"](trial.relay.base, "demo", "nonsense", headers={"Authorization": "Bearer tmk_it"})
    with pytest.raises(Exception, match="400"):
        sensor.poke({})
    assert [check["Authorization"] for check in trial.relay.checks] == ["Bearer tmk_it"]


def test_the_session_goes_as_it_is_told(server: Server, pipelines: list[Pipeline], tmp_path: Path) -> None:
    pipelines[0].publish()
    (tmp_path / "wait-for-token").write_text(SCRIPT.replace(BASE, server.base))
    played = play("waiting", server.base, tmp_path)
    told, done = zip(*([re.sub(r'"step":\d+', "", output) for output in outputs] for outputs in played), strict=True)
    assert done == told
    assert len(told) >= 19
