"""Requests that two servers in a row could understand differently.

Each is refused, or reaches the server behind nginx as exactly one request; what was to be smuggled in reaches nobody,
and the next request on the same connection to the server gets its own answer.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deploy.front import Front
from tests.deploy.upstream import Answer, Upstream, upstream
from tests.nginx import needed, nginx

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: tidemark\r\n\r\n"
CHUNK = f"{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n0\r\n\r\n"


def post(*headers: str, body: str = "", line: str = "POST /v0/probe HTTP/1.1", end: str = "\r\n") -> bytes:
    """A request with these headers, whose connection is to be closed after it."""
    head = [line, "Host: tidemark", "Connection: close", *headers]
    return (end.join([*head, "", ""]) + body).encode("latin-1")


REFUSED = {
    "both lengths": post("Content-Length: 4", "Transfer-Encoding: chunked", body=f"0\r\n\r\n{SMUGGLED}"),
    "both lengths, the other way round": post("Transfer-Encoding: chunked", "Content-Length: 4", body=CHUNK),
    "two lengths": post("Content-Length: 0", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED),
    "two equal lengths": post("Content-Length: 0", "Content-Length: 0", body=SMUGGLED),
    "a list of lengths": post(f"Content-Length: 0, {len(SMUGGLED)}", body=SMUGGLED),
    "a length with a sign": post(f"Content-Length: +{len(SMUGGLED)}", body=SMUGGLED),
    "a negative length": post("Content-Length: -1", body=SMUGGLED),
    "a hexadecimal length": post("Content-Length: 0x0", body=SMUGGLED),
    "a length that overflows": post("Content-Length: 18446744073709551616", body=SMUGGLED),
    "no length": post("Content-Length:", body=SMUGGLED),
    "two encodings": post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=CHUNK),
    "a list of encodings": post("Transfer-Encoding: identity, chunked", body=CHUNK),
    "chunked twice": post("Transfer-Encoding: chunked, chunked", body=CHUNK),
    "an unknown encoding": post("Transfer-Encoding: xchunked", body=CHUNK),
    "an encoding in quotes": post('Transfer-Encoding: "chunked"', body=CHUNK),
    "an encoding after a vertical tab": post("Transfer-Encoding: \x0bchunked", body=CHUNK),
    "chunked in HTTP/1.0": post("Transfer-Encoding: chunked", body=CHUNK, line="POST /v0/probe HTTP/1.0"),
    "a space before the colon": post("Transfer-Encoding : chunked", body=CHUNK),
    "a tab before the colon": post("Content-Length\t: 0", body=SMUGGLED),
    "a folded header": post("X-Folded: a", " Transfer-Encoding: chunked", body=CHUNK),
    "a header without a name": post(": a", body=SMUGGLED),
    "a bare CR in a header": post("X-Bare: a\rTransfer-Encoding: chunked", body=CHUNK),
    "a NUL in a header": post("X-Nul: a\0b"),
    "a NUL in a name": post("X-N\0ul: a"),
    "a chunk's length with 0x": post("Transfer-Encoding: chunked", body=f"0x0\r\n\r\n{SMUGGLED}"),
    "a chunk's length with a sign": post("Transfer-Encoding: chunked", body=f"-1\r\n\r\n{SMUGGLED}"),
    "a chunk's length that overflows": post("Transfer-Encoding: chunked", body=f"{'f' * 17}\r\n{SMUGGLED}"),
    "a chunk longer than its length": post("Transfer-Encoding: chunked", body=f"1\r\nab{CHUNK}"),
    "a bare CR in the request line": post(line="POST /v0/probe\rHTTP/1.1"),
    "a space in the path": post(line="POST /v0/pro be HTTP/1.1"),
    "a control character in the path": post(line="POST /v0/pro\x01be HTTP/1.1"),
    "no host": b"GET /v0/probe HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": post("Host: other"),
    "a host with a path": post(line="POST /v0/probe HTTP/1.1").replace(b"Host: tidemark", b"Host: tidemark/x"),
    "HTTP/2 out of the blue": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": post(line="POST /v0/probe HTTP/3.0"),
    "CONNECT": post(line="CONNECT tidemark:80 HTTP/1.1"),
    "TRACE": post(line="TRACE /v0/probe HTTP/1.1"),
    "a path that climbs out": post(line="POST /v0/../../probe HTTP/1.1"),
}

ONE = {
    "a body that is a request": post(f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED),
    "chunks that are a request": post("Transfer-Encoding: chunked", body=CHUNK),
    "an encoding in capitals": post("Transfer-Encoding: CHUNKED", body=CHUNK),
    "a body of GET": post(f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED, line="GET /v0/probe HTTP/1.1"),
    "a length with an underscore": post(f"Content-Length: {len(SMUGGLED)}", "Content_Length: 0", body=SMUGGLED),
    "an encoding with an underscore": post(
        f"Content-Length: {len(SMUGGLED)}", "Transfer_Encoding: chunked", body=SMUGGLED
    ),
    "more than the length says": post("Content-Length: 0", body=SMUGGLED),
    "more than the chunks say": post("Transfer-Encoding: chunked", body=f"0\r\n\r\n{SMUGGLED}"),
    "a chunk with an extension": post("Transfer-Encoding: chunked", body=CHUNK.replace("\r\n", ";a=b\r\n", 1)),
    "trailers": post("Transfer-Encoding: chunked", body=CHUNK[:-2] + "Content-Length: 5\r\n\r\n"),
    "lines that end in a bare LF": post(f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED, end="\n"),
    "HTTP/0.9": b"GET /v0/probe\r\n" + SMUGGLED.encode(),
    "HTTP/1.0": b"GET /v0/probe HTTP/1.0\r\n\r\n" + SMUGGLED.encode(),
    "an upgrade": post("Upgrade: h2c", "HTTP2-Settings: AAAA", "Connection: Upgrade, HTTP2-Settings"),
    "an expectation": post(f"Content-Length: {len(SMUGGLED)}", "Expect: 100-continue", body=SMUGGLED),
    "hop-by-hop headers": post("TE: trailers", "Trailer: X", "Keep-Alive: 5", "Proxy-Connection: keep-alive"),
    "a host in the request line": post(line="POST http://other.example/v0/probe HTTP/1.1"),
}

HOP_BY_HOP = ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Expect", "Transfer-Encoding")


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Upstream, Front]]:
    """One for all tests here: nothing of one request may be left for the next."""
    needed()
    with TemporaryDirectory(prefix="tidemark-") as made:
        directory = Path(made)
        with upstream(directory / "server.sock") as server, nginx(directory, directory / "server.sock") as base:
            server.answer = lambda request: Answer(body=request.path.encode())
            yield server, Front(base=base, directory=directory)


@pytest.fixture
def server(both: tuple[Upstream, Front]) -> Upstream:
    both[0].seen.clear()
    return both[0]


@pytest.fixture
def front(both: tuple[Upstream, Front]) -> Front:
    return both[1]


def unharmed(front: Front) -> None:
    """The connections to the server carry nothing that belongs to another request."""
    for number in range(3):
        assert front.get(f"/v0/after/{number}").text == f"/v0/after/{number}"


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused(server: Upstream, front: Front, kind: str) -> None:
    answer = front.exchange(REFUSED[kind])
    assert answer.count(b"HTTP/1.1 ") == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] in (b"400", b"405", b"501", b"505")
    assert body.startswith(b'{"message": ')
    assert not server.seen
    unharmed(front)


@pytest.mark.parametrize("kind", ONE)
def test_it_is_one_request(server: Upstream, front: Front, kind: str) -> None:
    answer = front.exchange(ONE[kind])
    assert answer.replace(b"HTTP/1.1 100 Continue", b"").count(b"HTTP/1.1 ") == (kind != "HTTP/0.9")
    (request,) = server.seen
    assert request.path == "/v0/probe"
    assert request.body in (b"", SMUGGLED.encode())
    assert not [name for name in HOP_BY_HOP if name in request.headers]
    assert len([name for name in request.headers if name.lower().replace("_", "-") == "content-length"]) <= 1
    unharmed(front)


def test_the_host_of_the_request_line_is_the_one_that_counts(server: Upstream, front: Front) -> None:
    """As in RFC 9112; and it is the one in the cache's key."""
    front.exchange(ONE["a host in the request line"])
    assert server.seen[0].headers.get_all("Host") == ["other.example"]


@pytest.mark.parametrize(
    "path",
    [
        "/v0/pipelines/p/tables/%22a%2Fb//c%2f%2F%22/connectors/c/stats",
        "/v0/pipelines/p/tables/%22a%2F..%2Fb%2F./c%22/connectors/c/stats?a=%2F&token=//",
        "/v0//%25%32%46/%2e/;x=y/'+%20/~!$&()*,=:@?",
    ],
)
def test_a_path_reaches_the_server_as_it_was_written(server: Upstream, front: Front, path: str) -> None:
    front.exchange(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert [request.path for request in server.seen] == [path]


def test_what_a_client_says_of_itself_is_not_passed_on(server: Upstream, front: Front) -> None:
    forged = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Ssl": "on",
        "X-Forwarded-Host": "evil.example",
        "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1",
        "X-Request-ID": "mine",
    }
    answer = front.get("/v0/probe", **{name.replace("-", "_"): value for name, value in forged.items()})
    (seen,) = server.seen
    assert {name: seen.headers.get_all(name) for name in forged if name in seen.headers} == {
        "X-Forwarded-For": ["127.0.0.1"],
        "X-Forwarded-Proto": ["http"],
        "X-Request-ID": [answer.headers["X-Request-ID"]],
    }
    assert answer.headers["X-Request-ID"] != "mine"
