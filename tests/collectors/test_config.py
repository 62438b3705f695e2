"""The collector's file: what it may say, and by which key each mistake is refused."""

from pathlib import Path

import pytest

from app.collectors.config import CollectorConfigError, load, parse
from app.domain.names import Address, tenant_id

ENVIRONMENT = {"PASSWORD": "s3cret", "TOKEN": "t0ken"}

SOURCE = """
[[nats]]
pipeline = "demo"
url = "nats://127.0.0.1:4222"
connectors = [{ stream = "Orders", consumer = "billing" }]
"""


def source(**changes: str | None) -> str:
    """SOURCE with some keys set to other TOML values; None leaves the key out."""
    values = {
        "pipeline": '"demo"',
        "url": '"nats://127.0.0.1:4222"',
        "connectors": '[{ stream = "orders", consumer = "billing" }]',
    } | changes
    return "[[nats]]\n" + "\n".join(f"{key} = {value}" for key, value in values.items() if value is not None)


def test_the_least_there_must_be() -> None:
    (nats,) = parse(SOURCE, {}).nats
    (connector,) = nats.connectors
    assert connector.address == Address(tenant_id("default"), "demo", "orders", "billing")
    assert (connector.stream, connector.consumer) == ("Orders", "billing")
    assert (nats.tenant, nats.servers, nats.interval_seconds) == ("default", ("nats://127.0.0.1:4222",), 1.0)


def test_all_there_can_be() -> None:
    text = source(
        tenant='"acme"',
        url='"nats://a:4222, tls://b"',
        interval_seconds="5",
        user='"me"',
        password_variable='"PASSWORD"',
    )
    (nats,) = parse(text, ENVIRONMENT).nats
    assert nats.connectors[0].address.tenant == tenant_id("acme")
    assert nats.servers == ("nats://a:4222", "tls://b")
    assert (nats.interval_seconds, nats.user, nats.password) == (5.0, "me", "s3cret")


def test_secrets_are_not_shown() -> None:
    text = source(url='"nats://me:pass@a"', token_variable='"TOKEN"')
    shown = repr(parse(text, ENVIRONMENT))
    assert "t0ken" not in shown
    assert "pass@" not in shown


BAD = {
    "not TOML": ("[[nats]", "not TOML"),
    "nothing": ("", "nats: must be an array"),
    "not an array": ("[nats]\npipeline = 'x'", "nats: must be an array"),
    "not tables": ("nats = [1]", r"nats\[0\]: must be a table"),
    "unknown section": (SOURCE + "[kafka]\n", "kafka: unknown"),
    "unknown key": (source(intervall="1"), r"nats\[0\]\.intervall: unknown"),
    "no pipeline": (source(pipeline=None), r"nats\[0\]\.pipeline: is missing"),
    "bad pipeline": (source(pipeline='"a b"'), r"nats\[0\]\.pipeline: "),
    "pipeline not text": (source(pipeline="1"), r"nats\[0\]\.pipeline: must be a text"),
    "empty tenant": (source(tenant='""'), r"nats\[0\]\.tenant: must be a text"),
    "no url": (source(url=None), r"nats\[0\]\.url: is missing"),
    "bad scheme": (source(url='"http://a"'), r"nats\[0\]\.url: must be of the form"),
    "no host": (source(url='"nats://"'), r"nats\[0\]\.url: must be of the form"),
    "bad port": (source(url='"nats://a:99999"'), r"nats\[0\]\.url: "),
    "one bad url of two": (source(url='"nats://a,b"'), r"nats\[0\]\.url: must be of the form"),
    "interval zero": (source(interval_seconds="0"), r"nats\[0\]\.interval_seconds: must be a number"),
    "interval nan": (source(interval_seconds="nan"), r"nats\[0\]\.interval_seconds: must be a number"),
    "interval true": (source(interval_seconds="true"), r"nats\[0\]\.interval_seconds: must be a number"),
    "user alone": (source(user='"me"'), r"nats\[0\]\.user: needs password_variable"),
    "password alone": (source(password_variable='"PASSWORD"'), r"nats\[0\]\.user: needs password_variable"),
    "variable not set": (source(token_variable='"NONE"'), r"nats\[0\]\.token_variable: the environment variable NONE"),
    "no connectors": (source(connectors="[]"), r"nats\[0\]\.connectors: must be an array of one table or more"),
    "no stream": (source(connectors='[{ consumer = "c" }]'), r"nats\[0\]\.connectors\[0\]\.stream: is missing"),
    "bad stream": (
        source(connectors='[{ stream = "a.b", consumer = "c" }]'),
        r"nats\[0\]\.connectors\[0\]\.stream: is not a name",
    ),
    "bad table": (
        source(connectors='[{ stream = "a\\u0001", consumer = "c" }]'),
        r"nats\[0\]\.connectors\[0\]\.stream: .*control characters",
    ),
    "bad consumer": (
        source(connectors='[{ stream = "a", consumer = "c" }, { stream = "a", consumer = "é" }]'),
        r"nats\[0\]\.connectors\[1\]\.consumer: .*letters, digits",
    ),
    "consumer with a dot": (
        source(connectors='[{ stream = "a", consumer = "b.c" }]'),
        r"nats\[0\]\.connectors\[0\]\.consumer: is not a name",
    ),
    "unknown key of a connector": (
        source(connectors='[{ stream = "a", consumer = "c", table = "t" }]'),
        r"nats\[0\]\.connectors\[0\]\.table: unknown",
    ),
    "two streams, one table": (
        source(connectors='[{ stream = "a", consumer = "c" }, { stream = "A", consumer = "d" }]'),
        r"nats\[0\]\.connectors\[1\]\.stream: is the same table as the stream 'a'",
    ),
    "a connector twice": (
        source() + "\n" + source(),
        r"nats\[1\]\.connectors\[0\]\.consumer: 'orders\.billing' is there",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_mistakes_are_told_by_their_key(text: str, message: str) -> None:
    with pytest.raises(CollectorConfigError, match=message):
        parse(text, ENVIRONMENT)


def test_a_password_in_a_bad_url_is_not_told() -> None:
    with pytest.raises(CollectorConfigError) as refused:
        parse(source(url='"http://me:s3cret@a"'), {})
    assert "s3cret" not in str(refused.value)


def test_the_file_is_named(tmp_path: Path) -> None:
    missing, bad = tmp_path / "missing.toml", tmp_path / "bad.toml"
    bad.write_bytes(b"\xff")
    for path in (missing, bad):
        with pytest.raises(CollectorConfigError, match=path.name):
            load(path, {})
    bad.write_text(source(pipeline=None))
    with pytest.raises(CollectorConfigError, match=r"bad\.toml: nats\[0\]\.pipeline"):
        load(bad, {})
