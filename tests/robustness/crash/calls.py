"""A client's calls over HTTP, each recorded with its beginning, its end and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import requests

from tests.robustness.crash.answers import told, told_item, told_token
from tests.robustness.crash.engine import Measurement
from tests.robustness.crash.history import Call, History, Kind, Position

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 6.0  # the server is to give up before that, but for the time that it is to wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A connector that is worked on, and what its engine is like."""

    pipeline: str
    name: str
    components: tuple[str, ...] = ("",)
    synchronous: bool = False
    restarts: float = 0.0  # chance of the engine to start anew, at each report
    removals: float = 0.0  # chance of the connector to be removed, instead of a report

    def __str__(self) -> str:
        """The name by which the history has it."""
        return f"{self.pipeline}/orders.{self.name}"

    @property
    def path(self) -> str:
        """Its URL, from the server's root."""
        return f"/v0/pipelines/{self.pipeline}/tables/orders/connectors/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is to be reported: a measurement, or None for a report of status only."""

    target: Target
    measured: Measurement | None
    if_match: int | None

    def recorded(self) -> dict[str, Any]:
        """What the history is to know of it from its beginning."""
        said: dict[str, Any] = {"if_match": self.if_match, "synchronous": self.target.synchronous}
        if self.measured is not None:
            completed, received = self.measured.completed, self.measured.received
            said |= {"label": self.measured.label, "received": received, "completed": completed}
        return said

    def body(self) -> dict[str, Any]:
        """What the server is sent."""
        body: dict[str, Any] = {"recording": "synchronous" if self.target.synchronous else "sampled"}
        if self.measured is not None:
            body["position"] = {
                "epoch": self.measured.label,
                "received": _json(self.measured.received),
                "completed": _json(self.measured.completed),
            }
        return body


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that was acknowledged."""

    target: Target
    token: str

    @property
    def path(self) -> str:
        """Where its status is, from the server's root."""
        return f"/v0/pipelines/{self.target.pipeline}/completion_status?token={self.token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How long a client is willing to wait, and for how many of the tokens."""

    seconds: float
    until: str = "all"


class Caller:
    """One client's connection to the server; one thread uses it."""

    def __init__(self, base: str, history: History, name: str) -> None:
        self.name = name
        self._base = base
        self._history = history
        self._waits = count()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, and no look at the files that could name one, at each call

    def close(self) -> None:
        """Gives up the connection."""
        self._session.close()

    def read(self, target: Target) -> Call:
        """Reads the connector's stats."""
        return self._call(Kind.READ, target, "GET", f"{target.path}/stats")

    def report(self, report: Report) -> Call:
        """Reports one measurement."""
        headers = {} if report.if_match is None else {"If-Match": f'"{report.if_match}"'}
        path = f"{report.target.path}/stats"
        place = self._begin(Kind.REPORT, report.target, **report.recorded())
        answer = self._send("PUT", path, json=report.body(), headers=headers)
        return self._history.end(place, **told(answer))

    def report_together(self, reports: Sequence[Report]) -> list[Call]:
        """Reports measurements of one pipeline in one request; each is a call of its own in the history."""
        path = f"/v0/pipelines/{reports[0].target.pipeline}/reports"
        items = [_item(report) for report in reports]
        places = [self._begin(Kind.REPORT, report.target, **report.recorded()) for report in reports]
        answer = self._send("POST", path, json=items)
        if answer is None or answer.status_code != 200:
            return [self._history.end(place, **told(answer)) for place in places]
        results = answer.json()
        return [self._history.end(place, **told_item(item)) for place, item in zip(places, results, strict=True)]

    def issue(self, target: Target) -> Call:
        """Asks for a token."""
        return self._call(Kind.ISSUE, target, "GET", f"{target.path}/completion_token")

    def check(self, issued: Issued) -> Call:
        """Asks whether the token is complete."""
        return self._call(Kind.CHECK, issued.target, "GET", issued.path, token=issued.token)

    def wait(self, issued: Issued, wait: Wait) -> Call:
        """Asks for the token's status once it is complete or lost."""
        place = self._begin(Kind.CHECK, issued.target, token=issued.token, **self._waiting(wait))
        answer = self._send("GET", f"{issued.path}&wait={wait.seconds:.3f}", seconds=wait.seconds)
        return self._history.end(place, **told(answer))

    def wait_together(self, issued: Sequence[Issued], wait: Wait) -> list[Call]:
        """The same for all or any of several tokens in one request; each is a call of its own in the history."""
        waiting = self._waiting(wait)
        body = {"tokens": [each.token for each in issued], "until": wait.until, "wait": wait.seconds}
        places = [self._begin(Kind.CHECK, each.target, token=each.token, **waiting) for each in issued]
        answer = self._send("POST", "/v0/completion_status", seconds=wait.seconds, json=body)
        if answer is None or answer.status_code >= 400:
            return [self._history.end(place, **told(answer)) for place in places]
        results = answer.json()["tokens"]
        return [self._history.end(place, **told_token(item)) for place, item in zip(places, results, strict=True)]

    def remove(self, target: Target) -> Call:
        """Removes the connector."""
        return self._call(Kind.REMOVE, target, "DELETE", target.path)

    def _call(self, kind: Kind, target: Target, method: str, path: str, **recorded: Any) -> Call:
        place = self._begin(kind, target, **recorded)
        return self._history.end(place, **told(self._send(method, path)))

    def _waiting(self, wait: Wait) -> dict[str, Any]:
        """What the history is to know of a wait from its beginning."""
        return {"wait": next(self._waits), "until": wait.until, "seconds": wait.seconds}

    def _begin(self, kind: Kind, target: Target, **recorded: Any) -> int:
        return self._history.begin(client=self.name, kind=kind, connector=str(target), **recorded)

    def _send(self, method: str, path: str, seconds: float = 0, **said: Any) -> requests.Response | None:
        """The answer, or None where there was none; whether the server has done it is open then."""
        timeout = (_CONNECT_SECONDS, _ANSWER_SECONDS + seconds)
        try:
            return self._session.request(method, self._base + path, timeout=timeout, **said)
        except requests.RequestException:
            return None


def _item(report: Report) -> dict[str, Any]:
    item = {"table": "orders", "connector": report.target.name, **report.body()}
    return item if report.if_match is None else item | {"if_match": report.if_match}


def _json(position: Position) -> int | dict[str, int]:
    return position[""] if position.keys() == {""} else position
