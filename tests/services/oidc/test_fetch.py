"""The one way out of the process: bounded whatever the other side does."""

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.services.oidc import fetch
from app.services.oidc.fetch import MOST_BYTES, Unfetched, get
from tests.services.oidc.issuer import Issuer

Talk = Callable[[socket.socket], None]


def soon(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


@contextmanager
def listening(talk: Talk) -> Iterator[int]:
    """A server that talks like this to whoever connects, in a thread for each. Gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):  # of a server that is closed
                while True:
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        def answer(connected: socket.socket) -> None:
            with connected, suppress(OSError):
                talk(connected)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_what_is_published_is_got(issuer: Issuer) -> None:
    issuer.answers["/there?a=b"] = (200, {}, b"x" * MOST_BYTES)
    assert get(f"{issuer.base}/there?a=b", soon()) == b"x" * MOST_BYTES
    issuer.answers["/"] = (200, {}, b"root")
    assert get(issuer.base, soon()) == b"root"


def test_what_comes_in_chunks_is_put_together() -> None:
    def talk(connected: socket.socket) -> None:
        connected.recv(10_000)
        connected.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")

    with listening(talk) as port:
        assert get(f"http://127.0.0.1:{port}/", soon()) == b"{}"


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 307, 308, 401, 404, 500, 503])
def test_any_other_answer_than_200_is_none_and_no_redirect_is_followed(issuer: Issuer, status: int) -> None:
    issuer.answers["/moved"] = (status, {"Location": f"{issuer.base}/target"}, b"{}")
    with pytest.raises(Unfetched, match=str(status)):
        get(f"{issuer.base}/moved", soon())
    assert "/target" not in issuer.asked


def test_one_byte_too_many_is_too_many(issuer: Issuer) -> None:
    issuer.answers["/large"] = (200, {}, b"x" * (MOST_BYTES + 1))
    with pytest.raises(Unfetched, match="larger"):
        get(f"{issuer.base}/large", soon())


def endless(connected: socket.socket) -> None:
    connected.recv(10_000)
    connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connected.sendall(b"x" * 65536)


def test_no_more_is_read_of_what_does_not_end() -> None:
    with listening(endless) as port, pytest.raises(Unfetched, match="larger"):
        get(f"http://127.0.0.1:{port}/", soon())


def dripping(first: bytes, drop: bytes) -> Talk:
    def talk(connected: socket.socket) -> None:
        connected.sendall(first)
        while True:
            connected.sendall(drop)
            time.sleep(0.02)

    return talk


SLOW: dict[str, Talk] = {
    "silent": lambda connected: time.sleep(1000),
    "its status drips": dripping(b"HTTP/1.1 2", b"0"),
    "its headers drip": dripping(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
    "it is about to go on": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "its body drips": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
    "its chunks drip": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "its trailers drip": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
}


SLOW_TLS: dict[str, Talk] = {
    "silent": SLOW["silent"],
    "its handshake drips": dripping(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03", b"\0"),
}


@pytest.mark.parametrize(
    ("scheme", "talk"),
    [*(("http", SLOW[kind]) for kind in SLOW), *(("https", SLOW_TLS[kind]) for kind in SLOW_TLS)],
    ids=[*SLOW, *(f"{kind}, TLS" for kind in SLOW_TLS)],
)
@pytest.mark.timeout(60)  # they would go on for ever
def test_there_is_one_deadline_for_all_of_it(scheme: str, talk: Talk) -> None:
    """Each drop is in time for a socket's own time-out."""
    with listening(talk) as port, pytest.raises(Unfetched, match="Timeout"):
        get(f"{scheme}://127.0.0.1:{port}/", soon(0.1))


def test_nobody_is_asked_after_the_deadline(issuer: Issuer) -> None:
    with pytest.raises(Unfetched, match="Timeout"):
        get(f"{issuer.base}/late", soon(-1))
    assert "/late" not in issuer.asked


NONSENSE: dict[str, bytes] = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a line without an end": b"HTTP/1.1 200 " + b"O" * 100_000,
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk of a negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n",
    "a chunk that is cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_no_content(kind: str) -> None:
    def talk(connected: socket.socket) -> None:
        connected.recv(10_000)
        connected.sendall(NONSENSE[kind])

    with listening(talk) as port, pytest.raises(Unfetched) as refused:
        get(f"http://127.0.0.1:{port}/", soon())
    assert str(refused.value).isidentifier(), "nothing that the other side said"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://id.example.com/",
            "http://10.0.0.1/",
            "http://127.0.0.1.example.com/",
            "http://2130706433/",
            "http://127.1/",
        ),
        *("ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "//127.0.0.1/", "127.0.0.1", "", "https://"),
        *("https://user:pw@127.0.0.1/", "http://127.0.0.1@id.example.com/", "http://127.0.0.1:80@id.example.com/"),
        *(
            "http://127.0.0.1/a b",
            "http://127.0.0.1/\r\nX: y",
            "http://127.0.0.1:port/",
            "http://[::1",
            "http://127.0.0.1/#x",
        ),
    ],
)
def test_other_urls_are_not_even_tried(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(fetch, "_connect", lambda *_: pytest.fail("connected"))
    with pytest.raises(Unfetched, match="neither"):
        get(url, soon())


def test_who_cannot_be_reached_has_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unfetched, match="ConnectionRefused"):
        get(f"http://127.0.0.1:{port}/", soon())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


@pytest.fixture(scope="module")
def tls_port(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(connected: socket.socket) -> None:
        with context.wrap_socket(connected, server_side=True) as secure:
            secure.recv(10_000)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with listening(talk) as port:
        yield port


def test_a_server_is_believed_by_its_certificate(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, tls_port: int
) -> None:
    with pytest.raises(Unfetched, match="SSLCertVerificationError"):
        get(f"https://127.0.0.1:{tls_port}/", soon())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert get(f"https://127.0.0.1:{tls_port}/", soon()) == b"{}"
    with pytest.raises(Unfetched, match="SSLCertVerificationError"):
        get(f"https://localhost:{tls_port}/", soon())  # which the certificate does not name
