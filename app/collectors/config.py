"""The file of ``tidemark collect --config``: TOML, read into frozen values, each mistake named by its key.

[[nats]]                      # one for each server and pipeline
tenant = "default"            # optional
pipeline = "demo"
url = "nats://127.0.0.1:4222" # several of one cluster: with commas between
user = "collector"            # optional, with password_variable
password_variable = "NATS_PW" # the environment variable that holds the password
token_variable = "NATS_TOKEN" # optional, instead of user and password
interval_seconds = 1.0        # optional
connectors = [{ stream = "orders", consumer = "billing" }]
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from app.collectors.document import CollectorConfigError as CollectorConfigError
from app.collectors.document import Table
from app.domain.names import DEFAULT_TENANT, Address, canonical_table, connector_name, pipeline_name, tenant_id

_MIN_INTERVAL, _MAX_INTERVAL = 0.05, 3600.0  # seconds
_SCHEMES = ("nats", "tls")
_NOT_IN_A_NAME = re.compile(r"[\s.*>/\\]")  # JetStream refuses it
_NATS_KEYS = (
    "tenant", "pipeline", "url", "user", "password_variable", "token_variable", "interval_seconds", "connectors",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NatsConnector:
    """A durable consumer, and the connector that it is."""

    address: Address
    stream: str
    consumer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsConfig:
    """A JetStream account, and what to measure at it."""

    tenant: str
    pipeline: str
    servers: tuple[str, ...] = field(repr=False)  # URLs, which may hold a password
    user: str | None
    password: str | None = field(repr=False)
    token: str | None = field(repr=False)
    interval_seconds: float
    connectors: tuple[NatsConnector, ...]


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """Everything one collector measures."""

    nats: tuple[NatsConfig, ...]


def load(path: Path, environment: Mapping[str, str]) -> CollectorConfig:
    """The configuration in the file; passwords and tokens are in the environment. Raises CollectorConfigError."""
    try:
        return parse(path.read_text(encoding="utf-8"), environment)
    except (OSError, UnicodeDecodeError) as error:
        raise CollectorConfigError(f"{path} cannot be read: {error}") from None
    except CollectorConfigError as error:
        raise CollectorConfigError(f"{path}: {error}") from None


def parse(text: str, environment: Mapping[str, str]) -> CollectorConfig:
    """The configuration that the text spells. Raises CollectorConfigError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CollectorConfigError(f"not TOML: {error}") from None
    root = Table(document, "", ("nats",))
    config = CollectorConfig(nats=tuple(_nats(table, environment) for table in root.tables("nats", _NATS_KEYS)))
    _refuse_collisions(config)
    return config


def _nats(table: Table, environment: Mapping[str, str]) -> NatsConfig:
    tenant = table.text("tenant") or DEFAULT_TENANT
    pipeline = table.checked("pipeline", pipeline_name)
    user, password = table.text("user"), table.secret("password_variable", environment)
    if (user is None) != (password is None):
        raise table.wrong("user", "needs password_variable, and the other way round")
    connectors = table.tables("connectors", ("stream", "consumer"))
    return NatsConfig(
        tenant=tenant,
        pipeline=pipeline,
        servers=table.checked("url", _servers),
        user=user,
        password=password,
        token=table.secret("token_variable", environment),
        interval_seconds=table.number("interval_seconds", 1.0, _MIN_INTERVAL, _MAX_INTERVAL),
        connectors=tuple(_nats_connector(each, tenant_id(tenant), pipeline) for each in connectors),
    )


def _nats_connector(table: Table, tenant: UUID, pipeline: str) -> NatsConnector:
    stream, consumer = table.checked("stream", _stream), table.checked("consumer", _consumer)
    return NatsConnector(Address(tenant, pipeline, canonical_table(stream), consumer), stream, consumer)


def _servers(urls: str) -> tuple[str, ...]:
    servers = tuple(url.strip() for url in urls.split(","))
    for server in servers:
        parts = urlsplit(server)
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.port == 0:
            raise ValueError("must be of the form nats://host:port or tls://host:port")
    return servers


def _stream(name: str) -> str:
    canonical_table(name)
    if _NOT_IN_A_NAME.search(name):
        raise ValueError("is not a name that a stream can have")
    return name


def _consumer(name: str) -> str:
    if "." in connector_name(name):
        raise ValueError("is not a name that a consumer can have")
    return name


def _refuse_collisions(config: CollectorConfig) -> None:
    """Of two streams that would be one table, since tables do not tell case, or two entries for one connector."""
    streams: dict[tuple[UUID, str], str] = {}
    addresses: set[Address] = set()
    for i, source in enumerate(config.nats):
        for j, connector in enumerate(source.connectors):
            address, key = connector.address, f"nats[{i}].connectors[{j}]"
            other = streams.setdefault((address.pipeline_id, address.table), connector.stream)
            if other != connector.stream:
                raise CollectorConfigError(f"{key}.stream: is the same table as the stream '{other}'")
            if address in addresses:
                raise CollectorConfigError(f"{key}.consumer: '{address.endpoint}' is there already")
            addresses.add(address)
