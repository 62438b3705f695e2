"""One connector's account: what has really happened to it, and what therefore must be recorded of it."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.api.report_schemas import ReportSchema
from app.domain import connector as rules
from app.domain.connector import Connector
from app.domain.names import Address
from app.domain.status import MAX_ERRORS_OF_A_TAG, Recording

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PIPELINE = "/v0/pipelines/demo"


@dataclass(frozen=True)
class Measurement:
    """A report as its reporter makes it; the number is in it, so that the record tells which one it was made from."""

    number: int
    label: str
    received: int
    completed: int

    def body(self, recording: Recording) -> dict[str, Any]:
        at = (NOW + timedelta(seconds=self.number)).isoformat()
        return {
            "position": {"epoch": self.label, "received": self.received, "completed": self.completed},
            "recording": recording.value,
            "metrics": {"total_records": self.number},
            "parse_errors": [{"timestamp": at, "index": self.number, "tag": None, "message": f"row {self.number}"}],
        }


@dataclass
class Token:
    text: str
    epoch_number: int
    label: str
    need: int  # what had been received when it was asked for
    was_complete: bool = False


@dataclass
class Account:
    """One connector: what has really happened to it, and what therefore must be recorded of it."""

    address: Address
    recording: Recording
    label: str = "run-0"
    received: int = 0
    processed: dict[str, int] = field(default_factory=lambda: {"run-0": 0})  # the most there ever was, by label
    numbers: int = 0
    record: Connector = field(default_factory=Connector)
    recorded: list[int] = field(default_factory=list)  # the number of each version's measurement
    errors: list[int] = field(default_factory=list)  # those that are kept
    events: list[tuple[int, str]] = field(default_factory=list)
    epochs: list[tuple[int, str | None, int, int | None, bool]] = field(default_factory=list)
    closed: set[str | None] = field(default_factory=set)  # labels
    tokens: list[Token] = field(default_factory=list)
    unheard_of: int = 0  # tokens that may have been made, and were never told of

    @property
    def path(self) -> str:
        return f"{PIPELINE}/tables/{self.address.table}/connectors/{self.address.connector}"

    def live(self, rng: random.Random) -> None:
        """Takes and processes some input, or starts again from nothing."""
        if self.record.version and rng.random() < 0.1:
            self.label, self.received = f"run-{len(self.processed)}", 0
            self.processed[self.label] = 0
        self.received += rng.choice((0, 1, 7))
        self.processed[self.label] = rng.choice((self.received, rng.randint(self.processed[self.label], self.received)))

    def measure(self) -> Measurement:
        self.numbers += 1
        return Measurement(self.numbers, self.label, self.received, self.processed[self.label])

    def condition(self) -> int | None:
        """What its reporter names in If-Match; a synchronous one names nothing where it goes on in its epoch."""
        record = self.record
        goes_on = record.epoch.label == self.label if record.epoch else not record.last_epoch
        return None if goes_on and self.recording is Recording.SYNCHRONOUS else record.visible_version

    def accept(self, measured: Measurement) -> None:
        """The measurement became the next version."""
        before, report = self.record, ReportSchema().load(measured.body(self.recording))
        accepted = rules.accept(
            before,
            replace(report, if_match=before.visible_version),
            now=NOW,
            closed_labels=self.closed,
            keep_every=timedelta(0),
        )
        self.record = accepted.connector
        self._end_epoch(accepted.closed, removed=False)
        if accepted.opened:
            self.epochs.append((accepted.opened.number, accepted.opened.label, self.record.version, None, False))
        self.recorded.append(measured.number)
        self.errors = [*self.errors, measured.number][-MAX_ERRORS_OF_A_TAG:]
        self.events += [(self.record.version, event.kind.value) for event in accepted.events]

    def keep_token(self, text: str) -> None:
        self.tokens.append(Token(text, self.record.last_epoch, self.label, self.received))

    def lives(self, token: Token) -> bool:
        """Whether the token's epoch goes on."""
        return self.record.epoch is not None and self.record.epoch.number == token.epoch_number

    def rows(self) -> dict[str, list[Any]]:
        """Of the tables beside the connector's."""
        return {
            "observations": list(enumerate(self.recorded, 1)),
            "errors": [(number, f"row {number}") for number in self.errors],
            "events": sorted(self.events),
            "epochs": self.epochs,
        }

    def remove(self) -> None:
        removed = rules.remove(self.record)
        self._end_epoch(removed.closed, removed=True)
        self.record = removed.connector
        self.closed.clear()
        self.errors.clear()
        self.events.append((self.record.version, "removed"))

    def _end_epoch(self, closed: rules.EpochClosed | None, *, removed: bool) -> None:
        if closed:
            number, label, first, _, _ = self.epochs[-1]
            self.epochs[-1] = (number, label, first, closed.completed_version, removed)
            self.closed.add(label)
