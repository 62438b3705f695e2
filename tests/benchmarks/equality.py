"""Before anything is measured: all alternatives give the same answers, and take each other's tokens."""

from collections.abc import Iterable, Sequence
from typing import Any

import requests

from tests.benchmarks.servers import Server


class DifferentAnswersError(Exception):
    """What is to be compared does not do the same."""


def check_stats(servers: Sequence[Server], paths: Iterable[str]) -> None:
    """Their stats are the same JSON, with the same headers that matter."""
    for path in paths:
        _same(f"{path}/stats", {server.name: _stats(server, path) for server in servers})


def check_tokens(issuers: Sequence[Server], checkers: Sequence[Server], paths: Iterable[str]) -> None:
    """A token of each is checked by each, with the same answer."""
    for path in paths:
        for issuer in issuers:
            token = _get(issuer, f"{path}/completion_token").json()["token"]
            check_status(checkers, status_path(path, token))


def check_status(servers: Sequence[Server], path: str) -> None:
    """Their answers for one token are the same."""
    answers = {}
    for server in servers:
        answer = _get(server, path)
        answers[server.name] = (answer.status_code, answer.json())
    _same(path, answers)


def status_path(connector: str, token: str) -> str:
    """The path of a token's status, given its connector's."""
    pipeline, _, _ = connector.partition("/tables/")
    return f"{pipeline}/completion_status?token={token}"


def _stats(server: Server, path: str) -> dict[str, Any]:
    answer = _get(server, f"{path}/stats")
    headers = {name: answer.headers.get(name) for name in ("Content-Type", "ETag", "Last-Modified")}
    return {"body": answer.json(), "headers": headers}


def _get(server: Server, path: str) -> requests.Response:
    headers = {"Authorization": server.authorization} if server.authorization else {}
    answer = requests.get(server.base + path, headers=headers, timeout=10)
    if not answer.ok:
        raise DifferentAnswersError(f"{server.name}: {path}: {answer.status_code} {answer.text}")
    return answer


def _same(path: str, answers: dict[str, Any]) -> None:
    (first, expected), *others = answers.items()
    for name, answer in others:
        if answer != expected:
            raise DifferentAnswersError(f"{path}:\n{first}: {expected}\n{name}: {answer}")
