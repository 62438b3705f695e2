"""A pipeline that lags behind what is published to it, and reports its one connector, as a real one would."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.serving import until

_INTERVAL_SECONDS = 0.05
_LAG = 5  # records that each publication takes; one is processed between two reports


class Pipeline:
    """Counts what was published and what is processed; `run` processes and reports."""

    def __init__(self, url: str) -> None:
        """``url`` is the connector's."""
        self.published = 0
        self.processed = 0
        self.stats = f"{url}/stats"
        self._stop = threading.Event()

    def publish(self) -> None:
        """Returns when the stream has acknowledged the write."""
        self.published += _LAG

    def run(self) -> None:
        """Until `stop`. It reports by the rule: learn the version, measure received, then completed, then report."""
        version = '"0"'
        while not self._stop.wait(_INTERVAL_SECONDS):
            received = self.published
            position = {"received": received, "completed": self.processed}
            answer = requests.put(self.stats, json={"position": position}, headers={"If-Match": version}, timeout=30)
            version = answer.headers.get("ETag", version)  # which a 412 has, and a 503 has not
            self.processed = min(self.processed + 1, received)

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def running(url: str) -> Iterator[Pipeline]:
    """A pipeline that runs for as long as the block lasts, and has reported."""
    pipeline = Pipeline(url)
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    try:
        until(lambda: requests.get(pipeline.stats, timeout=10).ok)
        yield pipeline
    finally:
        pipeline.stop()
        thread.join()
