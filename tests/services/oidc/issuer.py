"""An identity provider for tests: a real HTTP server that publishes keys, and signs whatever it is told to."""

import base64
import json
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import sqlalchemy as sa
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.jws import JWSRegistry
from sqlalchemy.dialects.postgresql import insert

from app.domain.names import tenant_id
from app.store.models import Tenant

AUDIENCE = "tidemark"
WELL_KNOWN = "/.well-known/openid-configuration"

Answer = tuple[int, dict[str, str], bytes]


@cache
def rsa(name: str = "rsa", bits: int = 2048) -> RSAKey:
    """The RSA key of this name; made once, for it takes its time."""
    with warnings.catch_warnings(action="ignore"):  # of keys that are too small
        return RSAKey.generate_key(bits, {"kid": name})


@cache
def p256(name: str = "ec") -> ECKey:
    """The P-256 key of this name."""
    return ECKey.generate_key("P-256", {"kid": name})


def public(key: Key, **changed: Any) -> dict[str, Any]:
    """The key as it is published, with members changed; None takes one out."""
    document = {**key.as_dict(private=False), **changed}
    return {name: value for name, value in document.items() if value is not None}


def b64(raw: bytes) -> str:
    """Base64url without padding, as in a token."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def json_bytes(value: Any) -> bytes:
    """The value as JSON, or the bytes that stand for it."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def signature(algorithm: str, key: Key, signed: bytes) -> bytes:
    """By any algorithm with any key that could be used for it; none of the library's own checks stands in between."""
    return JWSRegistry.algorithms[algorithm].sign(signed, key)


class Issuer:
    """The provider. What it publishes, and the document that says where, can be changed at any time."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.keys = [public(rsa()), public(p256())]
        self.answers: dict[str, Answer] = {}  # by path, in place of the right ones
        self.asked: list[str] = []  # the paths of all requests
        self.drips = False  # whether an answer comes byte by byte, and never whole

    def answer(self, path: str) -> Answer:
        """What a request for the path is answered with."""
        self.asked.append(path)
        documents = {
            WELL_KNOWN: {"issuer": self.base, "jwks_uri": f"{self.base}/jwks", "token_endpoint": f"{self.base}/token"},
            "/jwks": {"keys": self.keys},
        }
        if path in self.answers:
            return self.answers[path]
        return (200, {}, json_bytes(documents[path])) if path in documents else (404, {}, b"")

    def claims(self, **changed: Any) -> dict[str, Any]:
        """The claims of a good token, with some changed; None takes one out."""
        now = int(time.time())
        claims = {"iss": self.base, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300}
        claims |= {"tenants": ["acme"], "roles": ["admin"]} | changed
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self,
        header: Any = None,
        claims: Any = None,
        *,
        key: Key | None = None,
        algorithm: str = "RS256",
    ) -> str:
        """A token, well signed: header and claims are as given (bytes: as they stand), or those of a good one."""
        key = key or (p256() if algorithm == "ES256" else rsa())
        good = {"alg": algorithm, "typ": "at+jwt", "kid": key.kid}
        head = good | header if isinstance(header, dict) else header or good
        if isinstance(head, dict):
            head = {name: value for name, value in head.items() if value is not None}
        signed = f"{b64(json_bytes(head))}.{b64(json_bytes(self.claims() if claims is None else claims))}"
        return f"{signed}.{b64(signature(algorithm, key, signed.encode()))}"


def make_tenants(engine: sa.Engine, *names: str) -> None:
    """Makes tenants for tokens to be for, unless they are there."""
    with engine.begin() as connection:
        values = [{"id": tenant_id(name), "name": name} for name in names]
        connection.execute(insert(Tenant).on_conflict_do_nothing(), values)


@contextmanager
def serving_issuer() -> Iterator[Issuer]:
    """An issuer on a port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):  # of one that has given up
                self.answer()

        def answer(self) -> None:
            status, headers, body = issuer.answer(self.path)
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(10**6 if issuer.drips else len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            while issuer.drips:
                self.wfile.write(b" ")
                time.sleep(0.05)
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing is to be read of it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
