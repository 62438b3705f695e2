"""What a page of a thousand connectors takes, against one connector's stats; one client on one connection."""

import http.client
import json
import statistics
import time
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from tests.benchmarks import data

_PAGE = 1000
_SINGLES = 50  # between two pages

Get = Callable[[str], tuple[float, bytes]]


def milliseconds(base: str, renew: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Medians of pages and of single uncached stats reads, in turn: each round all pages of the list, once.

    ``renew`` gives every connector a new version, so that no stats are read twice.
    """
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10)

    def get(path: str) -> tuple[float, bytes]:
        start = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        taken = time.perf_counter() - start
        assert answer.status == 200, (answer.status, body[:500])
        return taken * 1000, body

    _round(get)  # to warm up
    pages: list[float] = []
    singles: list[float] = []
    for _ in range(rounds):
        renew()
        of_pages, of_singles = _round(get)
        pages += of_pages
        singles += of_singles
    connection.close()
    return statistics.median(pages), statistics.median(singles)


def _round(get: Get) -> tuple[list[float], list[float]]:
    pages, singles = [], []
    unread = data.some_paths(_SINGLES * data.PIPELINES * data.CONNECTORS // _PAGE)
    following: str | None = f"?limit={_PAGE}"
    while following is not None:
        taken, body = get(urljoin("/v0/connectors", following))
        document = json.loads(body)
        assert len(document["connectors"]) == _PAGE
        following = document["next"]
        pages.append(taken)
        singles += [get(f"{unread.pop()}/stats")[0] for _ in range(_SINGLES)]
    assert not unread
    return pages, singles
