import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from app.config import AuthProvider, Config, ConfigError

DOCUMENTED = Path(__file__).parents[1] / "docs" / "configuration.md"


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Config.read({}) == Config(data_directory=Path("var").absolute())


def test_an_empty_variable_counts_as_unset() -> None:
    assert Config.read({"PORT": "", "DATABASE_URL": ""}) == Config.read({})


def test_every_variable_is_read() -> None:
    config = Config.read(
        {
            "DATABASE_URL": "postgresql://u:p@h:1/d?sslmode=require",
            "DATA_DIRECTORY": "/data",
            "HOST": "::1",
            "PORT": "9000",
            "SOCKET": "run/tidemark.sock",
            "WORKERS": "3",
            "WORKER_CONNECTIONS": "40",
            "ALLOW_UNSAFE_DATABASE": "1",
            "REQUIRE_APP_ROLE": "1",
            "APP_PASSWORD": "hunter2",
            "MAX_WAITS": "30",
            "MAX_WAITS_PER_CREDENTIAL": "20",
            "MAX_STREAMS": "16",
            "MAX_STREAMS_PER_CREDENTIAL": "12",
            "POOL_SIZE": "6",
            "AUTH_PROVIDER": "generic-oidc",
            "OIDC_ISSUER": "https://id.example.com/realms/main",
            "OIDC_AUDIENCE": "tidemark",
            "OIDC_CLIENT_ID": "tidemark-web",
            "OIDC_EXTRA_SCOPES": "roles, groups",
            "OIDC_TOKEN_TYPES": "application/at+jwt JWT",
            "OIDC_TENANTS_CLAIM": "groups",
            "OIDC_ROLES_CLAIM": "realm_access.roles",
            "OIDC_ROLES": "read=data readers, write=engineers,admin=ops,write=robots",
            "ALLOW_UNAUTHENTICATED": "1",
            "TRUSTED_HOSTS": "Tidemark.example.org, [::1],",
            "TRUSTED_PROXIES": "2",
            "CORS_ORIGINS": "https://app.example.org,http://localhost:3000",
            "DEMO": "0",
            "REQUEST_TIMEOUT": "1.5",
            "TOKEN_RETENTION_DAYS": "7",
            "HISTORY_INTERVAL": "60",
            "OBSERVATION_RETENTION_DAYS": "8",
            "HOURLY_RETENTION_DAYS": "100",
            "LOG_LEVEL": "debug",
            "METRICS_HOST": "::1",
            "METRICS_PORT": "9000",
        }
    )
    assert config == Config(
        database_url="postgresql+psycopg://u:p@h:1/d?sslmode=require",
        data_directory=Path("/data"),
        host="::1",
        port=9000,
        socket=Path("run/tidemark.sock").absolute(),
        workers=3,
        worker_connections=40,
        allow_unsafe_database=True,
        require_app_role=True,
        app_password="hunter2",
        max_waits=30,
        max_waits_per_credential=20,
        max_streams=16,
        max_streams_per_credential=12,
        pool_size=6,
        auth_provider=AuthProvider.GENERIC_OIDC,
        oidc_issuer="https://id.example.com/realms/main",
        oidc_audience="tidemark",
        oidc_client_id="tidemark-web",
        oidc_extra_scopes=("roles", "groups"),
        oidc_token_types=("at+jwt", "jwt"),
        oidc_tenants_claim="groups",
        oidc_roles_claim="realm_access.roles",
        oidc_roles={"data readers": "read", "engineers": "write", "ops": "admin", "robots": "write"},
        allow_unauthenticated=True,
        trusted_hosts=("tidemark.example.org", "[::1]"),
        trusted_proxies=2,
        cors_origins=("https://app.example.org", "http://localhost:3000"),
        demo=False,
        request_timeout=1.5,
        token_retention=timedelta(days=7),
        history_interval=timedelta(minutes=1),
        observation_retention=timedelta(days=8),
        hourly_retention=timedelta(days=100),
        log_level="debug",
        metrics_host="::1",
        metrics_port=9000,
    )
    assert all(getattr(config, field.name) != getattr(Config(), field.name) for field in fields(Config))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://u:secret@h/d"),
        ("DATABASE_URL", "secret"),
        ("DATABASE_URL", "postgresql://app:p@ss:secret@db/tidemark"),
        ("DATABASE_URL", "postgresql://app@db/tidemark?port=secret"),
        ("DATABASE_URL", "postgresql://app@db/tidemark?secret=1"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "80.0"),
        ("PORT", "http"),
        ("WORKERS", "-1"),
        ("WORKER_CONNECTIONS", "0"),
        ("POOL_SIZE", "none"),
        ("AUTH_PROVIDER", "basic"),
        ("OIDC_ISSUER", "http://id.example.com"),
        ("OIDC_ISSUER", "http://127.0.0.1.example.com"),
        ("OIDC_ISSUER", "https://user:secret@id.example.com"),
        ("OIDC_ISSUER", "https://id.example.com/?secret=1"),
        ("OIDC_ISSUER", "https://id.example.com/#secret"),
        ("OIDC_ISSUER", "https://id.example.com:secret"),
        ("OIDC_ISSUER", "https://id.example.com/ secret"),
        ("OIDC_ISSUER", "https://"),
        ("OIDC_ISSUER", "https://[secret"),
        ("OIDC_ISSUER", "ftp://id.example.com"),
        ("OIDC_ISSUER", "id.example.com"),
        ("OIDC_ROLES", "owner=ops"),
        ("OIDC_ROLES", "read"),
        ("OIDC_ROLES", "read="),
        ("OIDC_ROLES", "read=ops,admin=ops"),
        ("OIDC_ROLES", ","),
        ("ALLOW_UNAUTHENTICATED", "yes"),
        ("TRUSTED_HOSTS", "example.org:443"),
        ("TRUSTED_HOSTS", "example.org,*.example.net"),
        ("TRUSTED_PROXIES", "-1"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://app.example.org/"),
        ("CORS_ORIGINS", "null"),
        ("REQUIRE_APP_ROLE", "yes"),
        ("DEMO", "true"),
        ("REQUEST_TIMEOUT", "nan"),
        ("REQUEST_TIMEOUT", "inf"),
        ("TOKEN_RETENTION_DAYS", "1.5"),
        ("HISTORY_INTERVAL", "-1"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_tells_no_secret(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: ") as refused:
        Config.read({name: value})
    assert "secret" not in str(refused.value)


OIDC = {
    "AUTH_PROVIDER": "generic-oidc",
    "OIDC_ISSUER": "https://id.example.com",
    "OIDC_AUDIENCE": "tidemark",
    "OIDC_CLIENT_ID": "tidemark-web",
}


@pytest.mark.parametrize("name", ["OIDC_ISSUER", "OIDC_AUDIENCE", "OIDC_CLIENT_ID"])
def test_an_identity_provider_is_not_made_up(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: must be set"):
        Config.read(OIDC | {name: ""})


@pytest.mark.parametrize("issuer", ["http://localhost:8081/realms/main", "http://[::1]:80", "http://127.0.0.1"])
def test_an_identity_provider_on_this_machine_needs_no_tls(issuer: str) -> None:
    assert Config.read(OIDC | {"OIDC_ISSUER": issuer}).oidc_issuer == issuer


def test_where_everybody_is_administrator_only_this_machines_names_will_do() -> None:
    own = frozenset(("localhost", "127.0.0.1", "[::1]"))
    assert Config.read({}).hosts == own
    assert Config.read({"HOST": "127.8.8.8"}).hosts == own | {"127.8.8.8"}
    assert Config.read({"TRUSTED_HOSTS": "devbox"}).hosts == frozenset(["devbox"])
    for elsewhere in ({"AUTH_PROVIDER": "api-key"}, {"ALLOW_UNAUTHENTICATED": "1"}, {"SOCKET": "/run/socket"}):
        assert Config.read(elsewhere).hosts is None


def test_a_socket_is_behind_one_proxy_unless_told_otherwise() -> None:
    proxies = [Config.read(e).trusted_proxies for e in ({}, {"SOCKET": "x"}, {"SOCKET": "x", "TRUSTED_PROXIES": "2"})]
    assert proxies == [0, 1, 2]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_without_authentication_a_loopback_address_is_fine(host: str) -> None:
    Config.read({"HOST": host}).check_exposure()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org"])
def test_without_authentication_no_other_address_is(host: str) -> None:
    with pytest.raises(ConfigError, match=r"AUTH_PROVIDER.*ALLOW_UNAUTHENTICATED"):
        Config.read({"HOST": host}).check_exposure()
    Config.read({"HOST": host, "ALLOW_UNAUTHENTICATED": "1"}).check_exposure()
    Config.read({"HOST": host, "AUTH_PROVIDER": "api-key"}).check_exposure()
    Config.read({"HOST": host} | OIDC).check_exposure()


def test_without_authentication_no_socket_is(tmp_path: Path) -> None:
    """A proxy passes on whoever comes, from wherever."""
    environment = {"SOCKET": str(tmp_path / "socket")}
    with pytest.raises(ConfigError, match=r"AUTH_PROVIDER.*SOCKET.*ALLOW_UNAUTHENTICATED"):
        Config.read(environment).check_exposure()
    Config.read(environment | {"ALLOW_UNAUTHENTICATED": "1"}).check_exposure()
    Config.read(environment | {"AUTH_PROVIDER": "api-key"}).check_exposure()


def test_every_variable_is_documented_and_no_other() -> None:
    source = (Path(__file__).parents[1] / "app" / "config.py").read_text()
    read = set(re.findall(r'env(?:, |\.get\()"([A-Z_]+)"', source))
    documented = set(re.findall(r"^\| `([A-Z_]+)`", DOCUMENTED.read_text(), re.MULTILINE))
    assert read == documented
    assert len(read) == len(fields(Config))
