"""Decides whether a history keeps the promise: tokens never complete early, are never lost, and nobody oversleeps.

History in, violations out. Each call of unknown outcome may have had its effect at any time after its beginning, or
never; a violation is one under every such reading. All is sorted once and then looked up, so n calls cost O(n log n).
"""

from collections import defaultdict

from tests.robustness.crash.epochs import Epochs
from tests.robustness.crash.history import Call, History, Progress
from tests.robustness.crash.tokens import Truth, check_tokens
from tests.robustness.crash.versions import check_versions
from tests.robustness.crash.violation import Fault, Violation
from tests.robustness.crash.waits import check_waits


def check(history: History) -> list[Violation]:
    """All that is broken, in the order in which it was answered, what is stale last.

    That is inferred from the versions of other reports, and where one is reused it may be blamed on a call before.
    """
    calls: dict[str, list[Call]] = defaultdict(list)
    steps: dict[str, list[Progress]] = defaultdict(list)
    for call in history.calls:
        calls[call.connector].append(call)
    for step in history.progress:
        steps[step.connector].append(step)
    found: list[Violation] = []
    for connector, own in calls.items():
        epochs = Epochs(own)
        found += check_versions(own, epochs)
        found += check_tokens(own, epochs, Truth(steps[connector]))
    found += check_waits(history)
    return sorted(found, key=lambda violation: (violation.fault is Fault.STALE, violation.calls[-1].latest))
