"""Configuration: one frozen value, read from the environment in one place. docs/configuration.md lists it all."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

N = TypeVar("N", int, float)

_ROLES = ("read", "write", "admin")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", re.ASCII)
_ORIGIN = re.compile(rf"https?://({_HOST.pattern})(:\d{{1,5}})?", re.ASCII)


class ConfigError(Exception):
    """A variable has a value that cannot be used; the message names the variable and never shows a secret."""


class AuthProvider(Enum):
    """How requests are authenticated."""

    NONE = "none"
    API_KEY = "api-key"
    GENERIC_OIDC = "generic-oidc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings; each field is documented under its variable's name in docs/configuration.md."""

    database_url: str | None = None  # None: the embedded Postgres, with its data in data_directory
    data_directory: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = 8080
    socket: Path | None = None  # a Unix socket to serve on instead
    workers: int = 2
    worker_connections: int = 1000
    pool_size: int = 5  # database connections a worker
    max_waits: int = 800  # requests of a worker that may wait for a token at a time
    max_waits_per_credential: int = 400
    max_streams: int = 400  # of events; each is one of the waits, too
    max_streams_per_credential: int = 200
    auth_provider: AuthProvider = AuthProvider.NONE
    oidc_issuer: str = ""  # given with AUTH_PROVIDER=generic-oidc, as are the audience and the client's id
    oidc_audience: str = ""
    oidc_client_id: str = ""
    oidc_extra_scopes: tuple[str, ...] = ()
    oidc_token_types: tuple[str, ...] = ("at+jwt",)
    oidc_tenants_claim: str = "tenants"
    oidc_roles_claim: str = "roles"
    oidc_roles: Mapping[str, str] = field(default_factory=lambda: dict(zip(_ROLES, _ROLES, strict=True)))
    allow_unauthenticated: bool = False
    trusted_hosts: tuple[str, ...] = ()  # names, without ports, that requests may be for
    trusted_proxies: int = 0  # how many, one behind the other, requests come through
    cors_origins: tuple[str, ...] = ()
    allow_unsafe_database: bool = False
    require_app_role: bool = False
    app_password: str | None = field(default=None, repr=False)  # for `tidemark db roles` to set
    demo: bool = True
    request_timeout: float = 5.0  # seconds that a request may wait for the database in all
    token_retention: timedelta = timedelta(days=30)
    history_interval: timedelta = timedelta(seconds=10)
    observation_retention: timedelta = timedelta(days=30)
    hourly_retention: timedelta = timedelta(days=400)
    log_level: str = "info"
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None  # None: the processes tell nothing of themselves

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Config":
        """The configuration in the environment; an empty variable counts as unset. Raises ConfigError."""
        env = {name: value for name, value in environment.items() if value}
        connections = _number(env, "WORKER_CONNECTIONS", 1000, 10, 100_000)
        max_waits = _number(env, "MAX_WAITS", connections * 8 // 10, 1, connections)
        max_streams = _number(env, "MAX_STREAMS", (max_waits + 1) // 2, 1, max_waits)
        auth_provider = _auth_provider(env)
        socket = _path(env, "SOCKET")
        return cls(
            database_url=_database_url(env),
            data_directory=Path(env.get("DATA_DIRECTORY", "var")).absolute(),
            host=env.get("HOST", "127.0.0.1"),
            port=_number(env, "PORT", 8080, 1, 65535),
            socket=socket,
            workers=_number(env, "WORKERS", 2, 1, 1024),
            worker_connections=connections,
            pool_size=_number(env, "POOL_SIZE", 5, 1, 1000),
            max_waits=max_waits,
            max_waits_per_credential=_number(env, "MAX_WAITS_PER_CREDENTIAL", (max_waits + 1) // 2, 1, max_waits),
            max_streams=max_streams,
            max_streams_per_credential=_number(
                env, "MAX_STREAMS_PER_CREDENTIAL", (max_streams + 1) // 2, 1, max_streams
            ),
            auth_provider=auth_provider,
            oidc_issuer=_issuer(env, auth_provider),
            oidc_audience=_needed(env, "OIDC_AUDIENCE", auth_provider),
            oidc_client_id=_needed(env, "OIDC_CLIENT_ID", auth_provider),
            oidc_extra_scopes=tuple(env.get("OIDC_EXTRA_SCOPES", "").replace(",", " ").split()),
            oidc_token_types=_token_types(env.get("OIDC_TOKEN_TYPES", "at+jwt")),
            oidc_tenants_claim=env.get("OIDC_TENANTS_CLAIM", "tenants"),
            oidc_roles_claim=env.get("OIDC_ROLES_CLAIM", "roles"),
            oidc_roles=_oidc_roles(env.get("OIDC_ROLES", ",".join(f"{role}={role}" for role in _ROLES))),
            allow_unauthenticated=_flag(env, "ALLOW_UNAUTHENTICATED", default=False),
            trusted_hosts=_list(env, "TRUSTED_HOSTS", _HOST, "a host's name or address, without a port"),
            trusted_proxies=_number(env, "TRUSTED_PROXIES", 0 if socket is None else 1, 0, 10),
            cors_origins=_list(env, "CORS_ORIGINS", _ORIGIN, "an origin such as https://app.example.org"),
            allow_unsafe_database=_flag(env, "ALLOW_UNSAFE_DATABASE", default=False),
            require_app_role=_flag(env, "REQUIRE_APP_ROLE", default=False),
            app_password=env.get("APP_PASSWORD"),
            demo=_flag(env, "DEMO", default=True),
            request_timeout=_number(env, "REQUEST_TIMEOUT", 5.0, 0.1, 300.0),
            token_retention=timedelta(days=_number(env, "TOKEN_RETENTION_DAYS", 30, 1, 3650)),
            history_interval=timedelta(seconds=_number(env, "HISTORY_INTERVAL", 10.0, 0.0, 86400.0)),
            observation_retention=timedelta(days=_number(env, "OBSERVATION_RETENTION_DAYS", 30, 2, 3650)),
            hourly_retention=timedelta(days=_number(env, "HOURLY_RETENTION_DAYS", 400, 31, 36500)),
            metrics_host=env.get("METRICS_HOST", "127.0.0.1"),
            metrics_port=_number(env, "METRICS_PORT", 9464, 1, 65535) if "METRICS_PORT" in env else None,
            log_level=_one_of(env, "LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        )

    @property
    def max_callers(self) -> int:
        """How many requests of a process may be at the database; the others are for what needs none."""
        return self.worker_connections * 9 // 10

    @property
    def hosts(self) -> frozenset[str] | None:
        """The names that requests may be for; None: any.

        Where everybody who gets in is administrator, and only this machine gets in, they are this machine's. Else a
        page in its browser could get in, under a name of its own that it lets point here (DNS rebinding).
        """
        if self.trusted_hosts:
            return frozenset(self.trusted_hosts)
        is_open = self.auth_provider is AuthProvider.NONE and not self.allow_unauthenticated
        return frozenset(("localhost", "127.0.0.1", "[::1]", self.host)) if is_open and self.socket is None else None

    def check_exposure(self) -> None:
        """Raises ConfigError where anybody who can reach the server could do anything."""
        if self.auth_provider is not AuthProvider.NONE or self.allow_unauthenticated:
            return
        if self.socket is None and _loopback(self.host):
            return
        where = f"HOST={self.host} is no loopback address" if self.socket is None else "SOCKET is for a proxy"
        raise ConfigError(
            f"AUTH_PROVIDER=none lets everybody in as administrator, and {where}: "
            "set AUTH_PROVIDER=api-key, or ALLOW_UNAUTHENTICATED=1 if that is what you want"
        )


def is_safe_url(url: str) -> bool:
    """Whether what is fetched there is what its owner has put there: by HTTPS, or from this machine itself."""
    if not re.fullmatch(r"[!-~]+", url):
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or "#" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _loopback(host))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _database_url(env: Mapping[str, str]) -> str | None:
    value = env.get("DATABASE_URL")
    if value is None:
        return None
    try:
        url = make_url(value)
        if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise ConfigError("DATABASE_URL: only Postgres is supported: postgresql://…")
        url = url.set(drivername="postgresql+psycopg")
        make_conninfo(**url.get_dialect()().create_connect_args(url)[1])
    except (ArgumentError, ValueError, psycopg.Error):  # whose messages may hold the password
        raise ConfigError("DATABASE_URL: not right; write postgresql://user:password@host:5432/database") from None
    return url.render_as_string(hide_password=False)


def _list(env: Mapping[str, str], name: str, form: re.Pattern[str], described: str) -> tuple[str, ...]:
    values = tuple(part.strip().lower() for part in env.get(name, "").split(",") if part.strip())
    for value in values:
        if not form.fullmatch(value):
            raise ConfigError(f"{name}: {value!r} is not {described}")
    return values


def _path(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    return None if value is None else Path(value).absolute()


def _auth_provider(env: Mapping[str, str]) -> AuthProvider:
    return AuthProvider(_one_of(env, "AUTH_PROVIDER", "none", [provider.value for provider in AuthProvider]))


def _issuer(env: Mapping[str, str], auth_provider: AuthProvider) -> str:
    issuer = _needed(env, "OIDC_ISSUER", auth_provider)
    if issuer and (not is_safe_url(issuer) or "?" in issuer):
        raise ConfigError("OIDC_ISSUER: must be an https:// URL (http:// only on a loopback address) without a query")
    return issuer


def _needed(env: Mapping[str, str], name: str, auth_provider: AuthProvider) -> str:
    if name not in env and auth_provider is AuthProvider.GENERIC_OIDC:
        raise ConfigError(f"{name}: must be set with AUTH_PROVIDER=generic-oidc")
    return env.get(name, "")


def _token_types(value: str) -> tuple[str, ...]:
    return tuple(kind.lower().removeprefix("application/") for kind in value.replace(",", " ").split())


def _oidc_roles(value: str) -> Mapping[str, str]:
    roles: dict[str, str] = {}
    for entry in value.split(","):
        role, _, named = (part.strip() for part in entry.partition("="))
        if role not in _ROLES or not named or roles.setdefault(named, role) != role:
            raise ConfigError("OIDC_ROLES: write read=VALUE,write=VALUE,admin=VALUE; each value gives one role")
    return roles


def _one_of(env: Mapping[str, str], name: str, default: str, choices: "tuple[str, ...] | list[str]") -> str:
    value = env.get(name, default)
    if value not in choices:
        raise ConfigError(f"{name}: {value!r} is none of {', '.join(choices)}")
    return value


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(name, "1" if default else "0")
    if value not in ("0", "1"):
        raise ConfigError(f"{name}: {value!r} is neither 0 nor 1")
    return value == "1"


def _number(env: Mapping[str, str], name: str, default: N, least: N, most: N) -> N:
    value = env.get(name)
    if value is None:
        return default
    try:
        number = type(default)(value)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        raise ConfigError(f"{name}: {value!r} is not {_kind(default)} from {least} to {most}")
    return number


def _kind(default: float) -> str:
    return "a whole number" if isinstance(default, int) else "a number"
