"""The token protocol by many threads at once, through the real batchers on a real Postgres, the truth at hand.

The database is restored to earlier points meanwhile, as docs/operations.md says, and nobody stops for that.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from threading import Event, Thread

import pytest

from app.api.runtime import Runtime
from app.config import Config
from app.domain import frontier
from app.domain import token as tokens
from app.domain.names import Address
from app.store.engine import transact
from tests.domain.history import Early, Stuck, Undone
from tests.robustness import misbehaviour
from tests.robustness.crowd import actors
from tests.robustness.crowd.actors import Actor, Client, Crowd, Engine, Operator, Reporter
from tests.robustness.crowd.truth import Stream
from tests.tenants import add_tenant

SHAPES = (("",), ("0", "1"), ("a", "b", "c"))
ENOUGH = {"accepted": 600, "issued": 300, "completed": 50, "restored": 2, "removed": 2, "PreconditionFailed": 50}
"""With less, nothing would be proven."""


def play(url: str, seed: int, times: float) -> Counter[str]:
    """Until so many times enough has happened; raises what a token was told that is not so, or what else went wrong."""
    runtime = Runtime.make(Config(database_url=url, pool_size=8), url)
    tenant = transact(runtime.engine, lambda connection: add_tenant(connection, "crowd"))
    streams = [Stream(Address(tenant, "demo", "orders", f"c{n}"), shape) for n, shape in enumerate(SHAPES)]
    crowd = Crowd(runtime, streams)
    kinds = [Reporter] * 4 + [Client] * 4 + [Operator]
    cast: list[Actor] = [kind(crowd, random.Random(f"{seed} {n}")) for n, kind in enumerate(kinds)]
    cast += [Engine(crowd, random.Random(f"{seed} engine {stream.address.connector}"), stream) for stream in streams]
    try:
        for stream in streams:
            crowd.insist(stream)
        _together(cast, lambda: all(crowd.tally[name] >= times * least for name, least in ENOUGH.items()))
        _settle(crowd)
        return crowd.tally
    finally:
        runtime.close()
        runtime.engine.dispose()


def _together(cast: list[Actor], enough: Callable[[], bool]) -> None:
    faults: list[BaseException] = []
    over = Event()

    def go_on(actor: Actor) -> None:
        try:
            while not over.is_set() and not enough():
                actor.step()
        except BaseException as fault:
            faults.append(fault)
            over.set()

    threads = [Thread(target=go_on, args=(actor,), daemon=True) for actor in cast]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def _settle(crowd: Crowd) -> None:
    """Everything is processed and two more reports are made: every token that nothing has cost is complete."""
    for stream in crowd.streams:
        stream.run.processed = dict(stream.run.received)
        stream.run.ever = dict(stream.run.received)
        for _ in range(2):
            crowd.insist(stream)
    for token in crowd.tokens:
        token.judge(crowd.check(token), before=token.complete)
        if token.must_live and not token.complete:
            raise Stuck(token.tell("not complete, though all is settled"))


@pytest.fixture(autouse=True)
def _short_frontier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "MAX_CHECKPOINTS", 4)


@pytest.mark.timeout(600)
def test_a_crowd_is_told_the_truth(clone: str) -> None:
    seed = int(os.environ.get("CROWD_SEED") or random.getrandbits(32))
    print(f"CROWD_SEED={seed}")
    print(dict(play(clone, seed, float(os.environ.get("CROWD_TIMES") or 1))))


DEFECTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], type[AssertionError]]] = {
    "binding k": (lambda patch: patch.setattr(tokens, "SAMPLED_AHEAD", 0), Early),
    "binding k+1": (lambda patch: patch.setattr(tokens, "SAMPLED_AHEAD", 1), Early),
    "versions come twice": (lambda patch: patch.setattr(actors, "leave_lost_versions", lambda connection: 0), Early),
    "no latch on rewind": (misbehaviour.no_latch_on_rewind, Undone),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name: str, clone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, fault = DEFECTS[name]
    plant(monkeypatch)
    with pytest.raises(fault):
        play(clone, 1, 100)
