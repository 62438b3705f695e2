"""Answers that get lost: nobody knows then whether it was done, and still nothing is lost or counted twice.

Reports, batches, issues and removals go to the real server, one after the other, through two proxies: one before the
server, one before its Postgres. Each case loses one request, COMMIT or statement, or its answer. Whether it was done is
known here, so what the sender is told, what it is told when it tries again, and every row, have one right value.
"""

import os
import random
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.domain.status import Recording
from tests.domain.history import Early
from tests.robustness.commits.account import Account
from tests.robustness.commits.audit import Miscounted
from tests.robustness.commits.play import REPORTS, Play, address, item
from tests.robustness.commits.proxy import Loss, NotLost
from tests.robustness.commits.server import WrongAnswer, expect, lossy_server
from tests.robustness.commits.ways import commit_of_a_connector
from tests.robustness.commits.wire import HttpWire, PostgresWire

CASES = 500


@pytest.fixture
def seed() -> int:
    """Of this test; COMMIT_SEED in the environment plays another one again."""
    seed = int(os.environ.get("COMMIT_SEED") or random.randrange(2**32))
    print(f"\nCOMMIT_SEED={seed}")
    return seed


@pytest.mark.timeout(400)
def test_nothing_is_lost_or_counted_twice_when_answers_get_lost(clone: str, clone_engine: sa.Engine, seed: int) -> None:
    with lossy_server(clone, clone_engine) as served:
        play = Play(served, seed)
        play.run(CASES)
        forced = sum(proxy.lost.total() for proxy in served.proxies.values())
    print(*sorted(play.forced.items()), sep="\n")
    assert sum(times for (kind, _), times in play.forced.items() if kind != "removal") == CASES
    assert forced >= play.forced.total()
    assert {way for _, way in play.forced} == {way for kind, way in play.forced if kind == "report"}
    assert len({way for _, way in play.forced}) == 6


def test_what_nobody_wants_lost_is_not(clone: str, clone_engine: sa.Engine) -> None:
    with lossy_server(clone, clone_engine) as served:
        play = Play(served, 0)
        for _ in range(20):
            account = play.known()
            account.live(play.rng)
            play.sender.report(account)
            account.keep_token(str(served.send("GET", f"{account.path}/completion_token").json()["token"]))
            play.auditor.audit(account)
        for proxy in served.proxies.values():
            assert not proxy.lost
            assert proxy.passed > 40
            with pytest.raises(NotLost), proxy.losing(Loss.ANSWER, lambda _: False):
                served.send("GET", "/readyz")


def test_requests_are_cut_out_however_they_arrive() -> None:
    def message(kind: bytes, body: bytes) -> bytes:
        return kind + (len(body) + 4).to_bytes(4) + body

    statement = [(b"P", b"p1\0UPDATE x\0\0\0"), (b"B", b"\0p1\0"), (b"D", b"P\0"), (b"E", b"\0\0\0\0\0"), (b"S", b"")]
    queries = [message(b"Q", b"BEGIN\0"), b"".join(message(*part) for part in statement), message(b"Q", b"COMMIT\0")]
    postgres, answered = PostgresWire(), {b"BEGIN": b"T", b"UPDATE x": b"T", b"COMMIT": b"I"}
    found = []
    for byte in message(b"", b"\0\3\0\0user\0x\0\0") + b"".join(queries) + queries[1]:
        for request in postgres.requests(bytes([byte])):
            found.append(request)
            ready = message(b"Z", answered.get(request.text.encode(), b"I"))
            assert sum(postgres.answers(ready[n : n + 1]) for n in range(len(ready))) == 1
    assert [request.text for request in found] == ["", "BEGIN", "UPDATE x", "COMMIT", "UPDATE x"]
    assert [request.commits for request in found] == [(), (), (), ("UPDATE x",), ("UPDATE x",)]
    assert found[2].raw == queries[1]
    http, sent = HttpWire(), b"PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n"
    cut = [request for byte in sent for request in http.requests(bytes([byte]))]
    assert [request.text for request in cut] == ["PUT /a HTTP/1.1", "GET /b HTTP/1.1"]
    assert b"".join(request.raw for request in cut) == sent


@pytest.mark.parametrize("loss", Loss)
def test_of_a_long_batch_the_second_transaction_can_be_unknown(clone: str, clone_engine: sa.Engine, loss: Loss) -> None:
    with lossy_server(clone, clone_engine) as served:
        play = Play(served, 0)
        accounts = [Account(address(f"c{n}"), Recording.SAMPLED) for n in range(110)]
        measured = [account.measure() for account in accounts]
        items = [item(account, each, 0) for account, each in zip(accounts, measured, strict=True)]
        with served.proxies["postgres"].losing(loss, commit_of_a_connector, skip=1):
            results = expect(served.send("POST", REPORTS, json=items), 200).json()
        assert [result["status"] for result in results] == [201] * 100 + [503] * 10
        for account, each in zip(accounts[: 110 if loss is Loss.ANSWER else 100], measured, strict=False):
            account.accept(each)
        for account in accounts[95:]:
            play.sender.sort_out(account, 0)
            play.auditor.audit(account)


DEFECTIVE = """
from gevent import monkey
monkey.patch_all()
import sys
from app.domain import token
from app.domain.errors import ServiceUnavailable
from app.store import engine
honest = engine._once
def once(database, work):
    results = []
    try:
        return honest(database, lambda connection: results.append(work(connection)) or results[-1])
    except ServiceUnavailable as error:  # of the COMMIT
        {on_a_lost_commit}
{instead}
from gunicorn.app.wsgiapp import run
sys.argv = ["gunicorn", "--config", "{settings}"]
run()
"""
SETTINGS = Path(__file__).parents[2] / "deploy" / "gunicorn.conf.py"
PLANTED: dict[str, tuple[str, str, type[AssertionError]]] = {
    "a COMMIT without an answer is repeated": ("raise engine.Repeat from error", "engine._once = once", WrongAnswer),
    "it is repeated, and called unknown": ("honest(database, work); raise", "engine._once = once", WrongAnswer),
    "it is believed": ("return results[-1]", "engine._once = once", WrongAnswer),
    "an issue is not committed": ("raise", "engine._autocommit = lambda database: database", Miscounted),
    "a token waits for nothing new": ("raise", "token.SAMPLED_AHEAD = 0", Early),
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_is_found(clone: str, clone_engine: sa.Engine, defect: str) -> None:
    on_a_lost_commit, instead, fault = PLANTED[defect]
    program = DEFECTIVE.format(on_a_lost_commit=on_a_lost_commit, instead=instead, settings=SETTINGS)
    with lossy_server(clone, clone_engine, sys.executable, "-c", program) as served, pytest.raises(fault) as found:
        Play(served, 0).run(CASES)
    print(found.value, found.value.__notes__)
