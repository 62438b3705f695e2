"""A thousand keys, made, used, rotated, misused: neither the whole database nor any log or error holds one of them."""

import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from app import logs
from app.config import AuthProvider
from app.domain.api_key import ApiKeyText
from app.domain.roles import command_line
from app.services.keys import create_key, rotate_key
from app.store import audit
from tests.api.client import FULL, STATS, Api
from tests.api.conftest import MakeApp, by_hand, engine_of
from tests.tenants import add_key

KEYS = "/v0/api_keys"
THROUGH_HTTP = 30  # of each kind; the others are made as the command line does it
MADE = 800
ROTATED = 200
TABLES = """
    SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
"""


@pytest.fixture
def log() -> Iterator[StringIO]:
    """All that is logged, as it is written, and by everybody."""
    written = StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("debug")
    for handler in root.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def sent(app: Any) -> list[str]:
    """What the application sends to the database from now on, statements and parameters."""
    told: list[str] = []

    def tell(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        told.append(f"{statement} {parameters!r}")

    sa.event.listen(engine_of(app), "before_cursor_execute", tell)
    return told


def make_keys(api: Api, engine: sa.Engine) -> list[str]:
    """Keys, a thousand in all."""
    by = command_line("acme")
    names = [f"made-{number}" for number in range(MADE - THROUGH_HTTP)]
    with engine.begin() as connection:
        made = [create_key(connection, by, name, by.role)[1] for name in names]
        made += [rotate_key(connection, by, name)[1] for name in names[: ROTATED - THROUGH_HTTP]]
    keys = [str(key) for key in made]
    for number in range(THROUGH_HTTP):
        keys.append(api.request("POST", KEYS, json={"name": f"http-{number}", "role": "admin"}).get_json()["api_key"])
        rotated = api.request("POST", f"{KEYS}/http-{number}/rotate", json={"grace_seconds": 60})
        keys.append(rotated.get_json()["api_key"])
    return keys


def misuse(app: Any, key: str) -> None:
    """Sends the key to wherever a client could, rightly or by mistake."""
    api = Api(app, key)
    api.get("/v0/config")
    for path in (f"{STATS}?token={key}", f"/v0/audit?cursor={key}", f"{KEYS}/{key}", f"/{key}", f"/v0/tenants?{key}=1"):
        api.get(path)
    api.request("POST", KEYS, json={"name": key})
    api.request("POST", "/v0/tenants", json={"name": key})
    wrong = ApiKeyText(ApiKeyText.parse(key).id, "a" * 52)
    Api(app, str(wrong)).get(STATS)
    app.test_client().get(STATS, headers={"Authorization": f"Basic {key}"})


def dump(url: str) -> str:
    """Every row of every table, as text."""
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        tables = [name for (name,) in connection.execute(TABLES)]
        assert {"api_key", "audit_event", "tenant"} <= set(tables)
        found = []
        for table in tables:
            with connection.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT") as copy:
                found += [bytes(block) for block in copy]
    return b"".join(found).decode()


def defect(api: Api, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request ends in an error that has the key in its text."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(key)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", fail)
        assert api.request("POST", KEYS, json={"name": "defect"}).status_code == 500


def test_no_key_is_kept(
    make_app: MakeApp, clone: str, clone_engine: sa.Engine, log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(database_url=clone, auth_provider=AuthProvider.API_KEY)
    tally, told = by_hand(app), sent(app)
    with clone_engine.begin() as connection:
        first = add_key(connection, "acme", name="first")
    api = Api(app, first)
    keys = [first, *make_keys(api, clone_engine)]
    for key in keys[-10:]:
        misuse(app, key)
        defect(api, key, monkeypatch)
    assert api.report(FULL, 0).status_code == 201
    tally.write()
    assert len(set(keys)) >= 1000
    everything = {"the database": dump(clone), "the log": log.getvalue(), "a statement": "\n".join(told)}
    secrets = {ApiKeyText.parse(key).secret for key in keys} | {"a" * 52}
    for place, text in everything.items():
        assert len(text) > 1000, place
        found = [secret for secret in secrets if secret in text]
        assert not found, f"{place} holds {len(found)} keys"
        assert not re.search(r"tmk_[a-z2-7]{16}_[a-z2-7]", text), place
