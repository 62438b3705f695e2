"""The page about keys, tenants and the audit is run: its commands against the real server, its SQL by the owner."""

import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from app.domain.names import DEFAULT_TENANT
from tests.pages import DOCS, blocks, play
from tests.serving import Server
from tests.tenants import add_key

_VOLATILE = re.compile(
    r"tmk_[a-z2-7]{16}_[a-z2-7]{59}|\b[a-z2-7]{16}\b|\d{4}-\d\d-\d\dT[\d:.]+Z|\b[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\b"
    r"|(?<=cursor=)[\w-]{32}"
)


@pytest.fixture
def server(clone: str) -> Iterator[Server]:
    server = Server({"DATABASE_URL": clone, "AUTH_PROVIDER": "api-key", "ALLOW_UNSAFE_DATABASE": "1"})
    yield server
    server.stop()


def test_the_session_goes_as_it_is_told(
    server: Server, clone: str, clone_engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clone_engine.begin() as connection:
        monkeypatch.setenv("KEY", add_key(connection, DEFAULT_TENANT, name="admin"))
    monkeypatch.setenv("DATABASE_URL", clone)
    session = play("access", server.base, DOCS.parent)
    played = [[re.sub(r" +", " ", _VOLATILE.sub("…", output)) for output in outputs] for outputs in session]
    told, done = zip(*played, strict=True)
    assert done == told
    assert len(told) == 13


def test_the_owner_can_forget_what_is_old_and_nothing_else_is_changed(clone_engine: sa.Engine) -> None:
    (forget,) = blocks("access", "sql")
    with clone_engine.begin() as connection:
        add_key(connection, "acme")
        old = "SELECT id, now() - interval '2 years', 'denied', '{}' FROM tenant"
        connection.execute(sa.text(f"INSERT INTO audit_event (tenant_id, at, action, details) {old}"))
    with clone_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in filter(str.strip, forget.split(";")):
            connection.execute(sa.text(statement))
    with clone_engine.connect() as connection:
        left = connection.scalars(sa.text("SELECT action FROM audit_event ORDER BY at")).all()
    assert left == ["tenant.created", "key.created"]
    with pytest.raises(sa.exc.ProgrammingError, match="append-only"), clone_engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit_event"))
