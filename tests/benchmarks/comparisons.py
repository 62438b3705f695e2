"""The comparisons, by name, and the bars that were set for them before anything was measured."""

from collections.abc import Callable, Mapping
from dataclasses import asdict

import sqlalchemy as sa

from tests.benchmarks import (
    batch,
    conditional,
    data,
    database,
    fleet,
    pending,
    questions,
    report_batch,
    servers,
    waiting,
    workers,
)
from tests.benchmarks.bench import Bench
from tests.benchmarks.measure import Measured
from tests.benchmarks.servers import Server
from tests.benchmarks.table import Comparison

_BATCHES = 3  # a round
_REPORTS = 100  # a round


def stats(bench: Bench) -> list[Comparison]:
    """Stats of random connectors, all of which have a new version before each run: nobody remembers a rendering."""
    alternatives = [bench.ours, bench.fastapi, bench.smorest]
    bench.check_same(alternatives)
    others = [bench.constant, bench.ours_with_keys]
    measured = bench.in_turn("stats", [*alternatives, *others], bench.all_stats, before=bench.renew)
    return [
        _rates("stats, uncached", measured, bench.ours, bench.fastapi, 1.4),
        _rates("stats, uncached", measured, bench.ours, bench.smorest, 7),
        _rates("stats, uncached", measured, bench.ours, bench.constant, 0.8),
        _rates("stats, API keys on", measured, bench.ours_with_keys, bench.fastapi),
    ]


def unchanged_stats(bench: Bench) -> list[Comparison]:
    """Stats of a thousand connectors that have not changed since they were last read."""
    measured = bench.in_turn("unchanged-stats", [bench.ours, bench.fastapi], bench.some_stats)
    return [_rates("stats, unchanged since", measured, bench.ours, bench.fastapi)]


def issue(bench: Bench) -> list[Comparison]:
    """Tokens of random connectors."""
    measured = bench.in_turn("issue", [bench.ours, bench.fastapi, bench.smorest], bench.all_issues)
    return [
        _rates("token issue", measured, bench.ours, bench.fastapi, 1.5),
        _rates("token issue", measured, bench.ours, bench.smorest, 10),
    ]


def check(bench: Bench) -> list[Comparison]:
    """Statuses of random tokens, half of them complete."""
    measured = bench.in_turn("check", [bench.ours, bench.fastapi], bench.checks)
    return [_rates("token check", measured, bench.ours, bench.fastapi, 1.4)]


def hot(bench: Bench) -> list[Comparison]:
    """Stats of a hundred connectors that many ask for, through nginx."""
    alternatives = [bench.ours_behind_nginx, bench.fastapi, bench.nginx_return]
    measured = bench.in_turn("hot", alternatives, bench.hot_stats)
    return [
        _rates("hot stats through nginx", measured, bench.ours_behind_nginx, bench.fastapi, 12),
        _rates("hot stats through nginx", measured, bench.ours_behind_nginx, bench.nginx_return, 0.45),
    ]


def batches(bench: Bench) -> list[Comparison]:
    """Reports by the thousand."""
    rounds = _BATCHES * bench.settings.rounds
    ours, by_hand = batch.rates(bench.ours.base, servers.plain_url(bench.url), rounds)
    return [
        Comparison(
            name="batch of 1,000 reports", unit="rows/s", ours=ours, peer_name="psycopg by hand", peer=by_hand, bar=0.5
        )
    ]


def reports(bench: Bench) -> list[Comparison]:
    """Reports one by one, to a thousand connectors. The other servers are ended, whose connections pgbench needs."""
    if database.program() is None:
        print("pgbench: not installed")
        return []
    bench.end_servers()
    ours, peer = conditional.rates(
        bench.ours, bench.engine, bench.directory, bench.settings.seconds, bench.settings.rounds
    )
    return [
        Comparison(
            name="single conditional reports",
            unit="1/s",
            ours=ours,
            peer_name="pgbench, the same one by one",
            peer=peer,
            bar=1,
        )
    ]


def memory(bench: Bench) -> list[Comparison]:
    """What a worker holds, run after run of all that is asked for most."""
    mixes = [bench.all_stats, bench.all_issues, bench.checks]
    resident = workers.resident_megabytes(bench.ours, mixes, bench.renew, bench.settings.seconds)
    return [
        _limit("memory of a worker", "MB", resident[-1], 130),
        Comparison(
            name="memory of a worker, last run",
            unit="MB",
            ours=resident[-1],
            peer_name="the run before",
            peer=resident[-2],
            bar=1.01,
            at_most=True,
        ),
    ]


def fleet_pages(bench: Bench) -> list[Comparison]:
    """A page of a thousand connectors, and one connector's stats."""
    ours, peer = fleet.milliseconds(bench.ours.base, bench.renew, bench.settings.rounds)
    return [
        Comparison(
            name="a page of 1,000 of the fleet",
            unit="ms",
            ours=ours,
            peer_name="stats, uncached",
            peer=peer,
            bar=40,
            at_most=True,
        )
    ]


def waits(bench: Bench) -> list[Comparison]:
    """Waiting on the server: what sleepers cost, how late they are answered, and how late those are who poll."""
    server = bench.ours_with_many_places
    cost = waiting.cost(server, bench.engine, bench.some_stats, bench.settings.seconds, bench.settings.rounds)
    single, polled = waiting.single(server, bench.url), waiting.polling(server, bench.url)
    last = waiting.at_once(server, bench.url)
    return [
        _limit("statements of 10,000 sleepers", "1/s and process", cost.statements, 2),
        _limit("memory of 10,000 sleepers", "KB each", cost.kilobytes, 30),
        Comparison(
            name="stats p99, 10,000 asleep",
            unit="ms",
            ours=cost.p99_ms[0],
            peer_name="none asleep",
            peer=cost.p99_ms[1],
            bar=1.5,
            at_most=True,
        ),
        _limit("from COMMIT to answer, median, 5,000 asleep", "ms", single.median, 8),
        _limit("from COMMIT to answer, p99, 5,000 asleep", "ms", single.p99, 30),
        _limit("from COMMIT to the last of 1,000 answers", "ms", last, 1000),
        Comparison(
            name="from COMMIT to answer, median",
            unit="ms",
            ours=single.median,
            peer_name="polling by the feldera SDK",
            peer=polled.median,
        ),
    ]


def pending_tokens(bench: Bench) -> list[Comparison]:
    """A report with a million tokens pending, and one with none."""
    pending.insert_tokens(bench.engine)
    log = bench.directory / "postgres" / "log"
    ours, peer = pending.milliseconds(bench.ours.base, bench.engine, log, _REPORTS * bench.settings.rounds)
    return [
        Comparison(
            name="report, 1,000,000 tokens pending",
            unit="ms",
            ours=ours,
            peer_name="none pending",
            peer=peer,
            bar=1.05,
            at_most=True,
        )
    ]


def twenty_questions(bench: Bench) -> list[Comparison]:
    """The questions of docs/reporting.md. The servers are ended, which would use the machine meanwhile."""
    bench.end_servers()
    asked = questions.ask_of_generated(bench.url, bench.settings.days)
    bench.measured["questions"] = [asdict(each) for each in asked]
    slowest = max(asked, key=lambda each: each.warm)
    return [
        _limit(f"slowest of the twenty questions ({slowest.number}), warm", "s", slowest.warm, 1),
        *(
            Comparison(
                name=f"question {each.number}, by rollups",
                unit="ms",
                ours=1000 * each.warm,
                peer_name="by raw observations",
                peer=1000 * each.raw,
                bar=0.05,
                at_most=True,
            )
            for each in asked
            if each.raw is not None and each.number in questions.BY_ROLLUPS
        ),
    ]


def by_json(bench: Bench) -> list[Comparison]:
    """Whether to send a batch as JSON or as arrays."""
    return report_batch.compare(bench.url)


def pgbench(bench: Bench) -> list[Comparison]:
    """What the database does alone. The servers are ended, whose connections pgbench needs."""
    if database.program() is None:
        print("pgbench: not installed")
        return []
    tokens = len(bench.tokens)
    bench.end_servers()
    with bench.engine.begin() as connection:
        database.prepare_connectors(connection)
        database.prepare_tokens(connection, tokens)
    connectors = data.PIPELINES * data.CONNECTORS
    found = []
    for group, name, table, rows in (
        ("stats", "read_stats", "bench_connector", connectors),
        ("issue", "issue_token", "bench_connector", connectors),
        ("check", "check_token", "bench_token", tokens),
    ):
        measured = bench.measured.get(group)
        if measured is not None:
            rate = database.rate(sa.make_url(bench.url), name, table, rows, bench.settings.seconds, bench.directory)
            ours = measured["ours"]["requests_per_second"]
            found.append(Comparison(name=_NAMES[group], unit="1/s", ours=ours, peer_name="pgbench", peer=rate))
    return found


_NAMES = {"stats": "stats, uncached", "issue": "token issue", "check": "token check"}

COMPARISONS: Mapping[str, Callable[[Bench], list[Comparison]]] = {
    "stats": stats,
    "unchanged-stats": unchanged_stats,
    "issue": issue,
    "check": check,
    "hot": hot,
    "batch": batches,
    "fleet": fleet_pages,
    "waits": waits,
    "by-json": by_json,
    "memory": memory,
    "reports": reports,
    "pgbench": pgbench,
    "questions": twenty_questions,
    "pending": pending_tokens,  # last: a million rows would be in the others' way
}


def _limit(name: str, unit: str, ours: float, limit: float) -> Comparison:
    """Ours against a number, rather than against somebody."""
    return Comparison(name=name, unit=unit, ours=ours, peer_name="the limit", peer=limit, bar=1, at_most=True)


def _rates(
    name: str, measured: Mapping[str, Measured], ours: Server, peer: Server, bar: float | None = None
) -> Comparison:
    return Comparison(
        name=name,
        unit="1/s",
        ours=measured[ours.name].rate,
        peer_name=peer.name,
        peer=measured[peer.name].rate,
        bar=bar,
        ours_cpu=measured[ours.name].cpu,
        peer_cpu=measured[peer.name].cpu,
    )
