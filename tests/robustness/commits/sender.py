"""Whoever sends to the server, loses what it sends or is told, and has to find out what became of it."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import requests
from requests import ConnectionError

from tests.robustness.commits.account import Account, Measurement
from tests.robustness.commits.server import LossyServer, WrongAnswer, expect, version
from tests.robustness.commits.ways import Way


class Sender:
    """One that sends one thing after the other, and keeps the accounts up."""

    def __init__(self, server: LossyServer) -> None:
        self.server = server
        self.forced: Counter[tuple[str, str]] = Counter()  # losses, by kind and way

    def lossy(self, kind: str, way: Way, send: Callable[[], requests.Response]) -> requests.Response | None:
        """The answer, or None where the sender does not know what became of it."""
        answer = None
        with self.server.proxies[way.server].losing(way.loss, way.of, times=way.times), suppress(ConnectionError):
            answer = send()
        self.forced[kind, f"{way.loss.value} lost before {way.server}, told {way.told}"] += 1
        told = "nothing" if answer is None else "503" if answer.status_code == 503 else "answer"
        if told != way.told:
            raise WrongAnswer(way, told, "" if answer is None else answer.text)
        if answer is None or told == "answer":
            return answer
        if int(answer.headers["Retry-After"]) < 1 or answer.json()["error_code"] != "ServiceUnavailable":
            raise WrongAnswer(way, answer.headers, answer.text)
        return None

    def sort_out(self, account: Account, condition: int | None) -> None:
        """What a reporter does that does not know: it measures again and names the same version."""
        measured = account.measure()
        answer = self.put(account, measured, condition)
        if condition is not None and condition != account.record.visible_version:
            current = expect(answer, 412).json()["details"]["current_version"]
            if not current == version(answer) == account.record.version:
                raise WrongAnswer(f"{current} is not the version that went unanswered")
            measured = account.measure()
            answer = self.put(account, measured, current)
        recorded(account, measured, answer.status_code, version(answer))

    def report(self, account: Account) -> None:
        """A report of which nothing is lost."""
        measured = account.measure()
        answer = self.put(account, measured, account.condition())
        recorded(account, measured, answer.status_code, version(answer))

    def put(self, account: Account, measured: Measurement, condition: int | None) -> requests.Response:
        headers = {} if condition is None else {"If-Match": f'"{condition}"'}
        return self.server.send("PUT", f"{account.path}/stats", json=measured.body(account.recording), headers=headers)


def recorded(account: Account, measured: Measurement, status: int, version: int | None) -> None:
    """The sender was told that its measurement is the next version."""
    expected = (204 if account.record.visible_version else 201, account.record.version + 1)
    if (status, version) != expected:
        raise WrongAnswer(f"told {(status, version)}, not {expected}")
    account.accept(measured)
