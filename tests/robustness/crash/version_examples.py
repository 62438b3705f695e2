"""What must never be seen of a connector's versions, and beside it the nearest that may be."""

from tests.robustness.crash.examples import (
    KNOWN,
    STARTED,
    Example,
    gone,
    issue,
    read,
    remove,
    report,
    unanswered,
    unknown,
)
from tests.robustness.crash.violation import Fault

VERSION_EXAMPLES = {
    "an old version is read": Example(
        fault=Fault.STALE,
        broken=(*STARTED, report(5, 2), read(8, 1)),
        sound=(*STARTED, report(5, 2), read(7, 1)),
    ),
    "an older version is read than somebody else had": Example(
        fault=Fault.STALE,
        broken=(*STARTED, unanswered(5, 2), read(8, 2), read(11, 1)),
        sound=(*STARTED, unanswered(5, 2), read(8, 1), read(11, 2)),
    ),
    "an old version is named by a refusal": Example(
        fault=Fault.STALE,
        broken=(*STARTED, report(5, 2), unanswered(8, 4, status=412, version=1)),
        sound=(*STARTED, report(5, 2), unanswered(8, 4, status=412, version=2)),
    ),
    "a reported connector is unknown": Example(
        fault=Fault.STALE,
        broken=(*STARTED, unknown(5)),
        sound=(*STARTED, unknown(4)),
    ),
    "a reported connector has version 0": Example(
        fault=Fault.STALE,
        broken=(*STARTED, unanswered(5, 2, status=412, version=0)),
        sound=(*STARTED, unanswered(4, 2, status=412, version=0)),
    ),
    "a removed connector that was reported again is unknown": Example(
        fault=Fault.STALE,
        broken=(*STARTED, remove(5), report(8, 2, if_match=0), unknown(11)),
        sound=(*STARTED, remove(5, status=None), report(8, 2), unknown(11)),
    ),
    "a reported connector has no position": Example(
        fault=Fault.STALE,
        broken=(*STARTED, issue(5, status=409, code="NoStreamPosition", token=None)),
        sound=(report(2, 1, None), issue(5, status=409, code="NoStreamPosition", token=None)),
    ),
    "a version is given twice": Example(
        fault=Fault.REUSED,
        broken=(*STARTED, report(5, 2), report(6, 2)),
        sound=(*STARTED, report(5, 2), report(6, 3)),
    ),
    "a version is given that was read before": Example(
        fault=Fault.REUSED,
        broken=(*STARTED, unanswered(5, 2), read(6, 2), report(9, 2)),
        sound=(*STARTED, unanswered(5, 2), read(6, 2), report(9, 3)),
    ),
    "a version is not the one after": Example(
        fault=Fault.REUSED,
        broken=(*STARTED, unanswered(5, 2), report(8, 3, if_match=1)),
        sound=(*STARTED, unanswered(5, 2), report(8, 3, if_match=2)),
    ),
    "two reports are the first": Example(
        fault=Fault.REUSED,
        broken=(*STARTED, report(5, 2, if_match=0), remove(8)),
        sound=(*STARTED, report(5, 2, if_match=0), remove(6)),
    ),
    "two reports are the first after one removal": Example(
        fault=Fault.REUSED,
        broken=(*STARTED, remove(5), report(8, 2, if_match=0), report(11, 3, if_match=0), remove(14)),
        sound=(*STARTED, remove(5), report(8, 2, if_match=0), report(11, 3, if_match=0), remove(13)),
    ),
    "the first report is not version 1": Example(
        fault=Fault.REUSED,
        broken=(unanswered(2, 1), report(5, 2, if_match=0)),
        sound=(unanswered(2, 1), report(5, 1, if_match=0)),
    ),
    "a token is issued twice": Example(
        fault=Fault.REUSED,
        broken=(*KNOWN, issue(13)),
        sound=(*KNOWN, issue(13, token="b")),
    ),
    "one report is accepted twice": Example(
        fault=Fault.PHANTOM,
        broken=(*STARTED, unanswered(5, 2), read(8, 3)),
        sound=(*STARTED, unanswered(5, 2), unanswered(10, 2), read(8, 3)),
    ),
    "refused for the version that it named": Example(
        fault=Fault.UNEXPECTED,
        broken=(*STARTED, unanswered(5, 2, status=412, version=1)),
        sound=(*STARTED, unanswered(5, 1, status=412, version=1)),
    ),
    "a report is refused as no such can be": Example(
        fault=Fault.UNEXPECTED,
        broken=(*STARTED, unanswered(5, 2, status=409, code="PositionRegressed")),
        sound=(*STARTED, unanswered(5, 2, status=503, code="ServiceUnavailable")),
    ),
    "a defect shows": Example(
        fault=Fault.UNEXPECTED,
        broken=(*KNOWN, gone(20, "InternalServerError", 500)),
        sound=(*KNOWN, gone(20, "ServiceUnavailable", 503)),
    ),
}
