"""Requests as a WSGI server might hand them on, however strange: raw paths, queries, headers and bodies."""

from io import BytesIO
from typing import Any
from wsgiref.types import WSGIEnvironment

from hypothesis import strategies as st

from app.domain.roles import Role
from tests.api.client import ORDERS, PIPELINE, REPORTS, STATS
from tests.fuzz.application import CREDENTIALS

_LATIN = st.characters(max_codepoint=0xFF)  # what a server makes of bytes (PEP 3333)
_BYTES = st.text(_LATIN, max_size=30)
_STRANGE = st.sampled_from(
    [
        *("\0", "\r\n", "%00", "%ff", "%", "%zz", "\xff\xfe", "\xed\xa0\x80", "\xc0\x80", "\xef\xbc\x82", "\xff" * 300),
        *("//", "/../", "..;", " ", "\t", "'", '"', "%22", "{}", "[]", "9" * 5000, "-1", "1e400", "\x1b[2J"),
    ]
)
_METHODS = _BYTES | st.sampled_from(
    ["GET", "GET", "PUT", "PUT", "POST", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "", "G\0"]
)
_PATHS = st.sampled_from(
    [
        *(STATS, ORDERS, REPORTS, PIPELINE, f"{ORDERS}/completion_token", f"{PIPELINE}/stats", f"{PIPELINE}/metrics"),
        *(f"{PIPELINE}/completion_status", "/v0/completion_status", "/v0/completion_tokens/ct1_", "/v0/connectors"),
        *("/v0/events", "/v0/pipelines", "/v0/api_keys", "/v0/api_keys/x", "/v0/config", "/v0/metrics", "/healthz"),
        *("/readyz", "/openapi.json", "/docs/", "/docs/index.css", "/config/authentication", "/", "", "*"),
    ]
)
_PARAMETERS = st.sampled_from(
    [
        *("token", "wait", "selector", "format", "include_connector_errors", "limit", "cursor", "pipeline", "table"),
        *("connector", "lifecycle", "progress", "health", "min_lag_records", "min_lag_seconds", "name_prefix"),
        *("transitions", "last_event_id"),
    ]
)
_HEADERS = st.sampled_from(
    [
        *("HTTP_AUTHORIZATION", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_PREFER", "HTTP_LAST_EVENT_ID"),
        *("HTTP_HOST", "HTTP_ACCEPT", "HTTP_COOKIE", "HTTP_RANGE", "HTTP_IF_MODIFIED_SINCE", "HTTP_CONTENT_ENCODING"),
        *("HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"),
        *("HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "HTTP_ORIGIN", "HTTP_FELDERA_TENANT", "HTTP_X_REQUEST_ID"),
        *("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_CONTENT_LENGTH", "HTTP_", "SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR"),
        *("CONTENT_LENGTH", "CONTENT_TYPE", "SCRIPT_NAME", "SERVER_PROTOCOL"),
    ]
)
_VALUES = st.sampled_from(
    [
        *('"0"', '"1"', 'W/"1"', "*", "wait=1", "wait=99999999999", "Bearer", "Bearer ", "Basic eDp5", "bytes=0-1"),
        *("chunked", "100-continue", "gzip", "application/json", "application/json; charset=", "multipart/form-data"),
        *("localhost", "a b", "[::1", "x:99999999", "0", "5", "true", "ct1_", "Sat, 31 Jan 2026 12:00:00 GMT"),
    ]
)
_JSON = st.sampled_from(
    [
        *(b"", b"{}", b"[]", b"null", b'{"position": {"received": 1, "completed": 0}, "recording": "synchronous"}'),
        *(b'[{"table": "t", "connector": "c", "recording": "synchronous"}]', b'{"deployment_status": "Running"}'),
        *(b'{"name": "x"}', b'{"tokens": ["ct1_"], "wait": 1}', b"[" * 5000, b'{"a": 1, "a": 2}', b'"\\ud800"'),
    ]
)


@st.composite
def _spoilt(draw: st.DrawFn, good: st.SearchStrategy[str]) -> str:
    """Something good, a place of which something strange may have got into."""
    text = draw(good)
    if draw(st.booleans()):
        return text
    place = draw(st.integers(0, len(text)))
    return text[:place] + draw(_STRANGE | _BYTES) + text[place:]


@st.composite
def environs(draw: st.DrawFn) -> WSGIEnvironment:
    """A request's environment, with a credential more often than not."""
    body = draw(_JSON | st.binary(max_size=50))
    values = _spoilt(_VALUES)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": draw(_METHODS),
        "SCRIPT_NAME": "",
        "PATH_INFO": draw(_spoilt(_PATHS)),
        "QUERY_STRING": "&".join(
            f"{name}={value}" for name, value in draw(st.lists(st.tuples(_spoilt(_PARAMETERS), values), max_size=3))
        ),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {draw(st.sampled_from((*CREDENTIALS, *[Role.ADMIN.value] * 4)))}",
        **draw(st.dictionaries(_HEADERS | _BYTES.map("HTTP_{}".format), values, max_size=4)),
    }
    return environ | {
        "body": body,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": draw(st.sampled_from(["http", "https"])),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": draw(st.booleans()),
    }
