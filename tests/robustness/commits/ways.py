"""The ways in which a request or its answer gets lost, and what follows from each."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.robustness.commits.proxy import Loss
from tests.robustness.commits.wire import Request

_CONNECTOR_WRITTEN = re.compile(r"\b(INSERT INTO|UPDATE) connector\b")
_TOKEN_WRITTEN = re.compile(r"\bINSERT INTO completion_token\b")


@dataclass(frozen=True)
class Way:
    """How a case loses something: before which server, how often, and what follows from it."""

    server: str
    loss: Loss
    done: bool
    told: str  # what the sender gets: "answer", "503" or "nothing"
    of: Callable[[Request], bool] = lambda request: True
    times: int = 1


def commit_of_a_connector(request: Request) -> bool:
    return request.text == "COMMIT" and any(_CONNECTOR_WRITTEN.search(sql) for sql in request.commits)


def _statement_on_a_connector(request: Request) -> bool:
    return not request.commits and bool(_CONNECTOR_WRITTEN.search(request.text))


def _issue(request: Request) -> bool:
    return bool(_TOKEN_WRITTEN.search(request.text))


_HTTP = [Way("http", Loss.REQUEST, False, "nothing"), Way("http", Loss.ANSWER, True, "nothing")]
_COMMIT = [Way("postgres", loss, loss is Loss.ANSWER, "503", commit_of_a_connector) for loss in Loss]
WRITES = [
    *_HTTP,
    *_COMMIT,
    *_COMMIT,
    # Before COMMIT was sent nothing can have been done, and the transaction is tried again, unseen.
    *[Way("postgres", loss, True, "answer", _statement_on_a_connector, times) for loss in Loss for times in (1, 2)],
]
ISSUES = [
    *_HTTP,
    # A statement that commits by itself is tried once more: doing it twice does no harm.
    *[Way("postgres", loss, True, "answer", _issue) for loss in Loss],
    *[Way("postgres", loss, loss is Loss.ANSWER, "503", _issue, 2) for loss in Loss],
]
