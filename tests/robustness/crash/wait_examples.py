"""How long a wait must never go on, and beside it how long it may."""

from tests.robustness.crash.examples import KNOWN, Example, issue, report, waited
from tests.robustness.crash.history import Kill
from tests.robustness.crash.violation import Fault
from tests.robustness.crash.waits import CALM_SECONDS, RAGE_SECONDS

COMPLETED = (*KNOWN, report(13, 2), report(16, 3))  # from 18 on
OTHER = (*COMPLETED, issue(30, token="b"))
BOTH = (*OTHER, report(33, 4), report(36, 5))  # from 38 on
CALM, RAGE, SECOND = int(CALM_SECONDS * 1e9), int(RAGE_SECONDS * 1e9), 10**9
PENDING = {"status": 202, "complete": False}

WAIT_EXAMPLES = {
    "asleep when it was completed": Example(
        fault=Fault.OVERSLEPT,
        broken=(*COMPLETED, waited(14, CALM + 19)),
        sound=(*COMPLETED, waited(14, CALM + 18)),
    ),
    "asleep though it was complete before": Example(
        fault=Fault.OVERSLEPT,
        broken=(*COMPLETED, waited(20, CALM + 21)),
        sound=(*COMPLETED, waited(20, CALM + 20)),
    ),
    "asleep to the end of its time": Example(
        fault=Fault.OVERSLEPT,
        broken=(*COMPLETED, waited(14, CALM + 19, **PENDING)),
        sound=(*KNOWN, report(13, 2), waited(14, CALM + 19, **PENDING)),
    ),
    "asleep until it was told": Example(
        fault=Fault.OVERSLEPT,
        broken=(*COMPLETED, waited(14, CALM + 19)),
        sound=(*COMPLETED, waited(14, CALM + 19, status=503, complete=None)),
    ),
    "one is enough": Example(
        fault=Fault.OVERSLEPT,
        broken=(*OTHER, *(waited(14, CALM + 19, until="any", **how) for how in ({}, {"token": "b", **PENDING}))),
        sound=(*OTHER, *(waited(14, CALM + 19, until="all", **how) for how in ({}, {"token": "b", **PENDING}))),
    ),
    "both are complete": Example(
        fault=Fault.OVERSLEPT,
        broken=(*BOTH, waited(14, CALM + 39), waited(14, CALM + 39, token="b")),
        sound=(*BOTH, waited(14, CALM + 38), waited(14, CALM + 38, token="b")),
    ),
    "two do not wait for each other": Example(
        fault=Fault.OVERSLEPT,
        broken=(*OTHER, waited(14, CALM + 19, wait=1), waited(14, CALM + 19, token="b", **PENDING)),
        sound=(*OTHER, waited(14, CALM + 19), waited(14, CALM + 19, token="b", **PENDING)),
    ),
    "another one's worker was killed": Example(
        fault=Fault.OVERSLEPT,
        broken=(*COMPLETED, Kill(begin=19, end=20, kind="worker"), waited(14, CALM + 19)),
        sound=(*COMPLETED, Kill(begin=19, end=20, kind="backend"), waited(14, CALM + 19)),
    ),
    "a kill costs only so much": Example(
        fault=Fault.OVERSLEPT,
        broken=(*COMPLETED, Kill(begin=1, end=2, kind="backend"), waited(14, RAGE + 19)),
        sound=(*COMPLETED, Kill(begin=1, end=2, kind="backend"), waited(14, RAGE + 18)),
    ),
    "long after a kill": Example(
        fault=Fault.OVERSLEPT,
        broken=(*COMPLETED, Kill(begin=1, end=2, kind="backend"), waited(4 * SECOND, CALM + 4 * SECOND + 1)),
        sound=(*COMPLETED, Kill(begin=1, end=2 * SECOND, kind="backend"), waited(4 * SECOND, CALM + 4 * SECOND + 1)),
    ),
    "up again": Example(
        fault=Fault.OVERSLEPT,
        broken=(*COMPLETED, Kill(begin=17, end=18 + SECOND, kind="postmaster"), waited(14, RAGE + SECOND + 19)),
        sound=(*COMPLETED, Kill(begin=17, end=18 + SECOND, kind="postmaster"), waited(14, RAGE + SECOND + 18)),
    ),
}
