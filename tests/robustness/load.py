"""Load on a server: clients that report, read, issue and check without a pause, and note every answer."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from tests.serving import until

KINDS = 5
_GIVE_UP_SECONDS = 60.0  # a client's own; a server that makes it wait that long has failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request and its outcome."""

    kind: str
    began: float  # of time.monotonic
    ended: float
    status: int | None  # None: no answer
    retry_after: str | None = None
    failure: str | None = None  # why there was none

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Client(threading.Thread):
    """Reports on a connector of its own, each report on the version of the one before, and works with tokens on it."""

    def __init__(self, base: str, number: int, over: threading.Event) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._pipeline = f"{base}/v0/pipelines/load"
        self._connector = f"{self._pipeline}/tables/orders/connectors/c{number}"
        self._session = requests.Session()
        self._over = over
        self._version = 0
        self._token: str | None = None
        self.calls: list[Call] = []

    def run(self) -> None:
        while not self._over.is_set():
            self._report()
            self._read()
            self._issue_and_check()
            self._report_in_a_batch()

    def _report(self) -> None:
        position = {"received": self._version + 1, "completed": self._version}
        headers = {"If-Match": f'"{self._version}"'}
        answer = self._call("report", "PUT", f"{self._connector}/stats", json={"position": position}, headers=headers)
        if answer is not None and answer.ok:
            self._version += 1

    def _report_in_a_batch(self) -> None:
        report = {"table": "orders", "connector": self._connector.rpartition("/")[2], "if_match": self._version}
        answer = self._call("batch", "POST", f"{self._pipeline}/reports", json=[report])
        if answer is not None and answer.ok and answer.json()[0]["status"] < 300:
            self._version += 1

    def _read(self) -> None:
        """What was recorded is the version that counts, whatever became of a report without an answer."""
        answer = self._call("stats", "GET", f"{self._connector}/stats")
        if answer is not None and answer.ok:
            self._version = int(answer.headers["ETag"].strip('"'))

    def _issue_and_check(self) -> None:
        """Whoever gets no new token goes on asking for the one that he has."""
        issued = self._call("issue", "GET", f"{self._connector}/completion_token")
        if issued is not None and issued.ok:
            self._token = issued.json()["token"]
        if self._token is not None:
            self._call("check", "GET", f"{self._pipeline}/completion_status?token={self._token}")

    def _call(self, kind: str, method: str, url: str, **options: Any) -> requests.Response | None:
        began = time.monotonic()
        try:
            answer = self._session.request(method, url, timeout=_GIVE_UP_SECONDS, **options)
        except requests.RequestException as error:
            self._note(kind, began, failure=repr(error))
            return None
        self._note(kind, began, status=answer.status_code, retry_after=answer.headers.get("Retry-After"))
        return answer

    def _note(self, kind: str, began: float, status: int | None = None, **outcome: Any) -> None:
        self.calls.append(Call(kind=kind, began=began, ended=time.monotonic(), status=status, **outcome))
        if status is None or status >= 500:
            time.sleep(0.05)  # a refused client that does not pause is no client


class Load:
    """The clients of a server while it is under load, and afterwards all that they noted."""

    def __init__(self, base: str, clients: int) -> None:
        self._over = threading.Event()
        self._clients = [Client(base, number, self._over) for number in range(clients)]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Lets every client finish what it is at."""
        self._over.set()
        for client in self._clients:
            client.join()

    def calls(self, *, began_after: float = 0.0, began_before: float = float("inf")) -> list[Call]:
        """The calls that began in between, in no order."""
        all_calls = [call for client in self._clients for call in list(client.calls)]
        return [call for call in all_calls if began_after <= call.began < began_before]


@contextmanager
def under_load(base: str, clients: int) -> Iterator[Load]:
    """Load from ``clients`` clients for as long as the block lasts; it begins when each has been answered."""
    load = Load(base, clients)
    load.start()
    try:
        until(lambda: len({call.kind for call in load.calls()}) == KINDS and len(load.calls()) > 10 * clients)
        yield load
    finally:
        load.stop()
