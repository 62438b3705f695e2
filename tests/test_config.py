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
            "AUTH_PROVIDER": "api-key",
            "ALLOW_UNAUTHENTICATED": "1",
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
        auth_provider=AuthProvider.API_KEY,
        allow_unauthenticated=True,
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
        ("ALLOW_UNAUTHENTICATED", "yes"),
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


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_without_authentication_a_loopback_address_is_fine(host: str) -> None:
    Config.read({"HOST": host}).check_exposure()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org"])
def test_without_authentication_no_other_address_is(host: str) -> None:
    with pytest.raises(ConfigError, match=r"AUTH_PROVIDER.*ALLOW_UNAUTHENTICATED"):
        Config.read({"HOST": host}).check_exposure()
    Config.read({"HOST": host, "ALLOW_UNAUTHENTICATED": "1"}).check_exposure()
    Config.read({"HOST": host, "AUTH_PROVIDER": "api-key"}).check_exposure()


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
