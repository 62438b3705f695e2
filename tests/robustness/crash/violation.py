"""What the checker finds."""

from dataclasses import dataclass
from enum import StrEnum

from tests.robustness.crash.history import Call


class Fault(StrEnum):
    """The ways in which the promise can be broken."""

    EARLY = "early"  # complete before everything it stands for had been processed
    LOST = "lost"  # an acknowledged token is unknown, or gone although its epoch goes on
    UNDONE = "undone"  # complete, and later not; or lost, and later not
    STALE = "stale"  # what had been acknowledged does not show
    REUSED = "reused"  # a version given twice, or not a new one
    PHANTOM = "phantom"  # more versions than reports were ever sent
    OVERSLEPT = "overslept"  # a wait that went on though what was waited for had long been complete
    UNEXPECTED = "unexpected"  # an answer that the protocol does not give here


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, and the calls that prove it, the breaking one last."""

    fault: Fault
    message: str
    calls: tuple[Call, ...]

    def __str__(self) -> str:
        """For people: the fault and, below it, the calls."""
        told = [f"{self.fault.upper()} {self.calls[-1].connector}: {self.message}"]
        return "\n    ".join([*told, *(str(call) for call in self.calls)])
