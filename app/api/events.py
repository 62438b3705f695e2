"""Events: a stream of what happens, to be followed."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from flask import request

from app.api import document, examples, runtime, sse
from app.api.auth import expires_at, key_id
from app.api.blueprint import Blueprint
from app.api.hangup import hung_up
from app.api.runtime import tenant
from app.api.waiting import holder
from app.domain.errors import InvalidParam, TooManyRequests
from app.domain.names import canonical_table, connector_name, pipeline_name
from app.domain.roles import Role
from app.domain.subscription import Subscription
from app.domain.token import TokenId
from app.lean import LeanResponse as Response
from app.services.follow import Client

events = Blueprint("events", __name__, url_prefix="/v0", description="Events")

MAX_TOKENS = 100  # of a stream: a line of a request holds no more

_HEADERS = {"X-Accel-Buffering": "no"}  # to nginx: each event is to leave at once
_TYPE = "text/event-stream"
_NAMES: dict[str, Callable[[str], str]] = {
    "pipeline": pipeline_name,
    "table": canonical_table,
    "connector": connector_name,
}
_ID = "AVmT5lQ0yQ3xAAAAAGl98gAAAAAAAAADSQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
_STRING = {"type": "string"}
_PARAMETERS = [
    examples.parameter(
        "token",
        "query",
        f"A completion token to be told of when it is complete or lost; up to {MAX_TOKENS}, of any pipelines.",
        [examples.TOKEN["token"]],
        {"type": "array", "items": document.TOKEN, "maxItems": MAX_TOKENS},
    ),
    examples.parameter(
        "transitions",
        "query",
        "Whether to be told of connectors' transitions, too; without tokens they are told of anyway.",
        "true",
        {"type": "string", "enum": ["true", "false"]},
    ),
    *(
        examples.parameter(name, "query", f"Only transitions of connectors of this {what}.", example, schema)
        for name, what, example, schema in (
            ("pipeline", "pipeline", "demo", document.PIPELINE_NAME),
            ("table", "table", "orders", document.TABLE),
            ("connector", "name", "billing", document.NAME),
        )
    ),
    examples.parameter("Last-Event-ID", "header", "The id of the last event received: go on behind it.", _ID, _STRING),
    examples.parameter("last_event_id", "query", "The same, where the header is not sent.", _ID, _STRING),
]


@events.route("/events")
@events.refuses(Role.READ, InvalidParam("last_event_id: not the id of an event"), TooManyRequests())
@events.alt_response(204, description="All tokens have been told of before: there is nothing to come.", success=True)
@events.response(
    200,
    _STRING,
    content_type=_TYPE,
    example=f'id: {_ID}\nevent: token\ndata: {{"token":"{examples.TOKEN["token"]}","status":"complete","step":9}}\n\n',
    description="Server-sent events, for as long as the client reads them.",
)
@events.doc(parameters=_PARAMETERS)
def stream_events() -> Response:
    """Follow what happens

    Required role: `read` or higher.

    A stream of server-sent events: `connector`, a transition of a connector; `token`, a named token that is complete or
    lost, once for each; `reset`, when the id to go on from is older than an hour. Without an id it begins now.
    """
    subscription = _subscription()
    resumed = (last_id := _last_event_id()) and subscription.cursor(last_id)
    if resumed and subscription.is_over(resumed.told):
        return Response(status=204)
    if request.method == "HEAD":
        return Response(headers=_HEADERS, content_type=_TYPE)
    held = ExitStack()
    stream = held.enter_context(runtime.current().streams.open(subscription, resumed or None, _client()))
    response = Response(sse.body(stream, held), headers=_HEADERS, content_type=_TYPE)
    response.call_on_close(held.close)
    return response


def _subscription() -> Subscription:
    tokens = tuple(dict.fromkeys(request.args.getlist("token")))
    if len(tokens) > MAX_TOKENS:
        raise InvalidParam(f"token: at most {MAX_TOKENS} can be named")
    for token in tokens:
        TokenId.parse(token)
    transitions = request.args.get("transitions", "false" if tokens else "true")
    if transitions not in ("true", "false"):
        raise InvalidParam("transitions: must be one of true, false")
    names = {name: check(request.args[name]) for name, check in _NAMES.items() if name in request.args}
    if transitions == "false" and (names or not tokens):
        raise InvalidParam("transitions: must be true where a connector, and where no token is named")
    return Subscription(tenant=tenant(), tokens=tokens, transitions=transitions == "true", **names)


def _last_event_id() -> str:
    """What the header says: a browser that comes back sends it to the URL that it was given first."""
    return request.headers.get("Last-Event-ID") or request.args.get("last_event_id", "")


def _client() -> Client:
    return Client(holder=holder(), key=key_id(), expires_at=expires_at(), hung_up=partial(hung_up, request.environ))
