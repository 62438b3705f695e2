"""What a token must never be answered, and beside it the nearest that it may be."""

from tests.robustness.crash.examples import (
    KNOWN,
    NEW_EPOCH,
    REMOVED,
    RESTARTED,
    SECOND,
    STARTED,
    TURNS,
    Example,
    complete,
    gone,
    in_progress,
    issue,
    read,
    remove,
    report,
    truth,
    unanswered,
)
from tests.robustness.crash.history import Progress
from tests.robustness.crash.violation import Fault

TOKEN_EXAMPLES = {
    "complete before all was processed": Example(
        fault=Fault.EARLY,
        broken=(*KNOWN, truth(9, 5, 4), complete(20)),
        sound=(*KNOWN, truth(9, 5, 4), truth(22, 5, 5), complete(20)),
    ),
    "complete before all of one component was processed": Example(
        fault=Fault.EARLY,
        broken=(
            *KNOWN,
            Progress(at=9, connector="p.t.c", label="run-1", received={"0": 5, "1": 5}, processed={"0": 5}),
            complete(20),
        ),
        sound=(
            *KNOWN,
            Progress(at=9, connector="p.t.c", label="run-1", received={"0": 5, "1": 0}, processed={"0": 5}),
            complete(20),
        ),
    ),
    "complete by what a later epoch processed": Example(
        fault=Fault.EARLY,
        broken=(*KNOWN, truth(9, 5, 4), truth(15, 9, 9, "run-2"), complete(20)),
        sound=(*KNOWN, truth(9, 5, 4), truth(11, 9, 9, "run-2"), complete(20)),
    ),
    "early, because it came in before": Example(
        fault=Fault.EARLY,
        broken=(*KNOWN, truth(9, 5, 0), complete(20)),
        sound=(*KNOWN, truth(10, 5, 0), complete(20)),
    ),
    "unknown token": Example(
        fault=Fault.LOST,
        broken=(*KNOWN, gone(20, "UnknownCompletionToken", 404)),
        sound=(*KNOWN, in_progress(20)),
    ),
    "gone without a new epoch": Example(
        fault=Fault.LOST,
        broken=(*KNOWN, gone(20, RESTARTED), report(23, 2, **NEW_EPOCH)),
        sound=(*KNOWN, gone(20, RESTARTED), unanswered(22, 2, **NEW_EPOCH)),
    ),
    "gone by an epoch that had ended before it": Example(
        fault=Fault.LOST,
        broken=(*STARTED, report(5, 2, **NEW_EPOCH), issue(10), gone(20, RESTARTED)),
        sound=(*STARTED, report(8, 2, **NEW_EPOCH), issue(10), gone(20, RESTARTED)),
    ),
    "gone by a report that was refused": Example(
        fault=Fault.LOST,
        broken=(*KNOWN, unanswered(15, 4, status=412, version=1, **NEW_EPOCH), gone(20, RESTARTED)),
        sound=(*KNOWN, unanswered(15, 4, status=503, **NEW_EPOCH), gone(20, RESTARTED)),
    ),
    "gone by a removal that was not": Example(
        fault=Fault.LOST,
        broken=(*KNOWN, gone(20, REMOVED), remove(23)),
        sound=(*KNOWN, gone(20, REMOVED), remove(22)),
    ),
    "gone by a removal that was mended": Example(
        fault=Fault.LOST,
        broken=(*KNOWN, remove(13), report(16, 2, if_match=0), gone(20, REMOVED)),
        sound=(*KNOWN, remove(16), report(16, 2, if_match=0), gone(20, REMOVED)),
    ),
    "gone by a removal before it": Example(
        fault=Fault.LOST,
        broken=(
            *(*STARTED, remove(5), unanswered(8, 2, if_match=0)),
            *(issue(10), gone(20, REMOVED)),
        ),
        sound=(
            *(*STARTED, remove(5, status=None), unanswered(8, 2, if_match=0)),
            *(issue(10), gone(20, REMOVED)),
        ),
    ),
    "gone by a label that came into force once more": Example(
        fault=Fault.LOST,
        broken=(*TURNS, report(14, 4, **NEW_EPOCH), issue(17), gone(20, RESTARTED)),
        sound=(*TURNS, report(17, 4, **NEW_EPOCH), issue(17), gone(20, RESTARTED)),
    ),
    "gone by a report of the same label": Example(
        fault=Fault.LOST,
        broken=(*TURNS, issue(14), report(17, 4), gone(20, RESTARTED)),
        sound=(*TURNS, issue(14), report(17, 4, **NEW_EPOCH), gone(20, RESTARTED)),
    ),
    "gone by a report that came too late": Example(
        fault=Fault.LOST,
        broken=(*TURNS, unanswered(14, 4, **NEW_EPOCH), read(17, 4), issue(20), gone(23, RESTARTED)),
        sound=(*TURNS, unanswered(14, 4, **NEW_EPOCH), read(18, 4), issue(20), gone(23, RESTARTED)),
    ),
    "gone by a removal that had not been yet": Example(
        fault=Fault.LOST,
        broken=(
            *KNOWN,
            remove(13, None),
            gone(14, REMOVED),
            report(17, 2),
            unanswered(20, 3),
            report(23, 4),
        ),
        sound=(
            *KNOWN,
            remove(13, None),
            gone(14, REMOVED),
            report(16, 2),
            unanswered(20, 3),
            report(23, 4),
        ),
    ),
    "gone by a removal that was not even asked for": Example(
        fault=Fault.LOST,
        broken=(*KNOWN, report(5, 2), gone(14, REMOVED), remove(17, None)),
        sound=(*KNOWN, report(5, 2), gone(14, REMOVED), remove(16, None)),
    ),
    "gone by the first report of all": Example(
        fault=Fault.LOST,
        broken=(*STARTED, issue(3), gone(20, RESTARTED)),
        sound=(*STARTED, report(5, 2, **NEW_EPOCH), issue(6), gone(20, RESTARTED)),
    ),
    "gone by a first report, which ends nothing": Example(
        fault=Fault.LOST,
        broken=(*TURNS, issue(14), unanswered(17, 4, if_match=0, **NEW_EPOCH), gone(20, RESTARTED)),
        sound=(*TURNS, issue(14), unanswered(17, 4, if_match=3, **NEW_EPOCH), gone(20, RESTARTED)),
    ),
    "gone by a removal that cannot have been": Example(
        fault=Fault.LOST,
        broken=(*KNOWN, remove(13, None), report(14, 2), report(19, 3), gone(16, RESTARTED)),
        sound=(*KNOWN, remove(13, None), report(14, 2, if_match=0), report(19, 3), gone(16, RESTARTED)),
    ),
    "expired at once": Example(
        fault=Fault.LOST,
        broken=(*KNOWN, gone(20, "CompletionTokenExpired")),
        sound=(*KNOWN, gone(20, "ServiceUnavailable", 503)),
    ),
    "complete and later not": Example(
        fault=Fault.UNDONE,
        broken=(*KNOWN, complete(20), in_progress(23)),
        sound=(*KNOWN, complete(20), in_progress(22)),
    ),
    "complete and lost with its epoch": Example(
        fault=Fault.UNDONE,
        broken=(*KNOWN, complete(20), report(24, 2, **NEW_EPOCH), gone(30, RESTARTED)),
        sound=(*KNOWN, complete(20), remove(24), gone(30, REMOVED)),
    ),
    "lost and later not": Example(
        fault=Fault.UNDONE,
        broken=(*KNOWN, report(14, 2, **NEW_EPOCH), gone(20, RESTARTED), in_progress(23)),
        sound=(*KNOWN, report(14, 2, **NEW_EPOCH), gone(20, RESTARTED), in_progress(22)),
    ),
    "completed by two reports, and not complete": Example(
        fault=Fault.STALE,
        broken=(*KNOWN, report(13, 2), report(16, 3), in_progress(19)),
        sound=(*KNOWN, report(12, 2), report(16, 3), in_progress(19)),
    ),
    "completed by a later report than those, and not complete": Example(
        fault=Fault.STALE,
        broken=(*KNOWN, report(13, 2), report(16, 3, (5, 0)), report(19, 4, (9, 5)), in_progress(22)),
        sound=(*KNOWN, report(13, 2), report(16, 3, (5, 0)), report(19, 4, (9, 4)), in_progress(22)),
    ),
    "completed while it was checked": Example(
        fault=Fault.STALE,
        broken=(*KNOWN, report(13, 2), report(16, 3), gone(19, RESTARTED), remove(20)),
        sound=(*KNOWN, report(13, 2), report(16, 3), gone(18, RESTARTED), remove(19)),
    ),
    "completed by reports with a position": Example(
        fault=Fault.STALE,
        broken=(*KNOWN, report(13, 2, None), report(16, 3), in_progress(19)),
        sound=(*KNOWN, report(13, 2), report(16, 3, None), in_progress(19)),
    ),
    "completed in an epoch that had begun before it": Example(
        fault=Fault.STALE,
        broken=(*SECOND, issue(8), report(13, 3, **NEW_EPOCH), report(16, 4, **NEW_EPOCH), in_progress(19)),
        sound=(
            *(*SECOND, issue(7), report(13, 3, **NEW_EPOCH), report(16, 4, **NEW_EPOCH)),
            gone(19, RESTARTED),
        ),
    ),
    "a synchronous connector is completed by one report": Example(
        fault=Fault.STALE,
        broken=(
            truth(1, 0, 0),
            report(2, 1, if_match=None, synchronous=True),
            issue(10),
            report(13, 2, if_match=None, synchronous=True),
            in_progress(19),
        ),
        sound=(*KNOWN, report(13, 2), in_progress(19)),
    ),
}
