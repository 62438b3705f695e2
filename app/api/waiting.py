"""How long a request is willing to wait for its answer, and the answer that says what came of it."""

import re
from functools import partial

from flask import request
from werkzeug.http import parse_list_header

from app.api import examples, request_log, runtime
from app.api.hangup import hung_up
from app.api.runtime import principal
from app.config import AuthProvider
from app.domain.errors import InvalidParam
from app.domain.roles import Principal
from app.domain.waiting import Until
from app.lean import LeanResponse as Response
from app.services.wait import MOST_SECONDS, WaitRequest

_SECONDS = re.compile(r"\d{1,3}(\.\d{1,20})?", re.ASCII)
_PREFERENCE = re.compile(r'\s*wait\s*=\s*(?:(\d{1,9})|"(\d{1,9})")\s*(?:;.*)?', re.ASCII | re.IGNORECASE)

WAIT = examples.parameter(
    "wait",
    "query",
    "Seconds to wait for the token to become complete or lost, at most; fractions are allowed.",
    30,
    {"type": "number", "minimum": 0, "maximum": MOST_SECONDS},
)
PREFER = examples.parameter(
    "Prefer",
    "header",
    "`wait=SECONDS` (RFC 7240) does the same, in whole seconds; more than 60 are taken for 60.",
    "wait=30",
    {"type": "string"},
)


def asked_seconds() -> float:
    """What the query's ``wait`` says, else what ``Prefer`` does, else 0. Raises InvalidParam."""
    given = request.args.get("wait")
    if given is None:
        return float(preferred_seconds() or 0)
    if not _SECONDS.fullmatch(given) or float(given) > MOST_SECONDS:
        raise InvalidParam(f"wait: must be one number of seconds from 0 to {MOST_SECONDS:.0f}")
    return float(given)


def preferred_seconds() -> int | None:
    """The ``wait`` of the header ``Prefer`` (RFC 7240 §4.3): None if it has none that can be honoured."""
    given = request.headers.get("Prefer")
    for preference in parse_list_header(given) if given else ():  # in quotes, a comma parts nothing
        if match := _PREFERENCE.fullmatch(preference):
            return min(int(match[1] or match[2]), int(MOST_SECONDS))
    return None


def wait_request(seconds: float, until: Until = Until.ALL) -> WaitRequest:
    """The current client's."""
    request_log.waits()
    return WaitRequest(seconds=seconds, until=until, holder=holder(), hung_up=partial(hung_up, request.environ))


def holder() -> Principal | None:
    """The credential that the current client's waiting counts against; None where nobody is asked for one."""
    nobody_asks = runtime.current().config.auth_provider is AuthProvider.NONE
    return None if nobody_asks else principal()


def applied(response: Response) -> Response:
    """The response, which says whether the client's preference has been honoured (RFC 7240 §3)."""
    preferred = preferred_seconds()
    if preferred is not None and "wait" not in request.args:
        response.headers["Preference-Applied"] = f"wait={preferred}"
    return response
