"""What is written a moment later: once an hour and key, and however many are denied, a few events."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from app.domain.api_key import ApiKeyText
from app.domain.errors import AuthenticationFailed, ServiceUnavailable
from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Principal, Role, command_line
from app.services import tally as tallies
from app.services.authenticate import authenticate
from app.services.keys import revoke_key
from app.services.tally import MOST_DENIALS, Count, Denial, Tally, others
from app.store import audit
from app.store.audit import Entry
from app.store.engine import make_engine
from app.store.models import ApiKey, AuditEvent
from tests.serving import until
from tests.tenants import add_key

ACME = command_line("acme")


@pytest.fixture
def key(clone_engine: sa.Engine) -> ApiKeyText:
    with clone_engine.begin() as connection:
        return ApiKeyText.parse(add_key(connection, "acme", Role.READ, "ci"))


@pytest.fixture
def tally(clone_engine: sa.Engine) -> Tally:
    """One that writes when it is told to, and not by itself."""
    made = Tally(clone_engine, clock=lambda: 100.0)
    made.close()
    return made


def denial(route: str = "/v0/tenants", principal: Principal | None = None, key_id: str | None = None) -> Denial:
    who: Any = {"tenant": principal and principal.tenant_id, "principal": principal, "key_id": key_id}
    return Denial(code="X", method="GET", route=route, client="192.0.2.1", **who)


def denied(engine: sa.Engine, tenant: str = DEFAULT_TENANT) -> list[Entry]:
    with engine.connect() as connection:
        return list(audit.read_page(connection, tenant_id(tenant), ["denied"], None, 1000).entries)


def used(engine: sa.Engine, key: ApiKeyText) -> datetime | None:
    with engine.connect() as connection:
        return connection.scalars(sa.select(ApiKey.last_used_at).where(ApiKey.id == key.id)).one()


def use(engine: sa.Engine, key: ApiKeyText, tally: Tally, hours_after: int | None = None) -> None:
    """Uses the key, so many hours after its last use, if it is said to have had one."""
    with engine.begin() as connection:
        if hours_after is not None:
            hour = sa.func.date_trunc("hour", sa.func.now()) - timedelta(hours=hours_after)
            connection.execute(sa.update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=hour))
        authenticate(connection, key, tally.note_use)


@pytest.mark.parametrize("hours_after", [None, 1, 7])
def test_the_first_use_in_an_hour_is_kept_to_the_hour(
    clone_engine: sa.Engine, key: ApiKeyText, tally: Tally, hours_after: int | None
) -> None:
    before = datetime.now(UTC)
    use(clone_engine, key, tally, hours_after)
    tally.write()
    hour = used(clone_engine, key)
    assert hour is not None
    assert (hour.minute, hour.second, hour.microsecond) == (0, 0, 0)
    assert before - timedelta(hours=1) < hour <= datetime.now(UTC)


def test_another_use_in_the_same_hour_is_not_even_noted(clone_engine: sa.Engine, key: ApiKeyText, tally: Tally) -> None:
    use(clone_engine, key, tally, hours_after=0)
    assert tally._uses == {}


def test_a_use_noted_late_does_not_take_a_later_one_back(
    clone_engine: sa.Engine, key: ApiKeyText, tally: Tally
) -> None:
    use(clone_engine, key, tally, hours_after=0)
    hour = used(clone_engine, key)
    assert hour is not None
    tally.note_use(key.id, hour - timedelta(hours=1))
    tally.write()
    assert used(clone_engine, key) == hour


def test_a_wrong_or_revoked_key_is_not_used(clone_engine: sa.Engine, key: ApiKeyText, tally: Tally) -> None:
    with pytest.raises(AuthenticationFailed):
        use(clone_engine, ApiKeyText(key.id, "a" * 52), tally)
    with clone_engine.begin() as connection:
        revoke_key(connection, ACME, "ci")
    with pytest.raises(AuthenticationFailed):
        use(clone_engine, key, tally)
    assert tally._uses == {}


def test_equal_denials_are_one_event_with_their_number(clone_engine: sa.Engine) -> None:
    now = [100.0]
    tally = Tally(clone_engine, clock=lambda: now[0])
    tally.close()
    for _ in range(3):
        tally.note_denial(denial())
        now[0] += 2
    tally.note_denial(denial("/v0/audit"))
    tally.write()
    assert [
        (each.details["route"], each.details["count"], each.details["seconds"]) for each in denied(clone_engine)
    ] == [
        ("/v0/audit", 1, 0),
        ("/v0/tenants", 3, 4),
    ]
    tally.write()
    assert len(denied(clone_engine)) == 2


def test_a_flood_of_denials_that_all_differ_fills_nothing(clone_engine: sa.Engine, tally: Tally) -> None:
    for number in range(10_000):
        tally.note_denial(denial(key_id=f"made-up-{number}"))
        assert len(tally._denials) <= MOST_DENIALS + 1
    tally.write()
    events = denied(clone_engine)
    assert len(events) == MOST_DENIALS + 1
    assert sum(each.details["count"] for each in events) == 10_000
    (rest,) = [each for each in events if "route" not in each.details]
    assert rest.details["count"] == 10_000 - MOST_DENIALS


def test_a_flood_hides_no_other_tenants_denial(clone_engine: sa.Engine, key: ApiKeyText, tally: Tally) -> None:
    """Neither one of those who have no credential, nor one of another tenant's."""
    for number in range(100):
        tally.note_denial(denial(key_id=f"made-up-{number}"))
        tally.note_denial(denial(f"/{number}", principal=command_line(DEFAULT_TENANT)))
    insider = replace(ACME, name="ci", role=Role.READ, key_id=key.id)
    tally.note_denial(denial("/v0/audit", principal=insider, key_id=key.id))
    for number in range(100):
        tally.note_denial(denial(f"/{number}", principal=ACME))
    tally.write()
    told = denied(clone_engine, "acme")
    assert ("ci", "/v0/audit") in [(each.actor, each.details.get("route")) for each in told]
    assert (len(told), sum(each.details["count"] for each in told)) == (MOST_DENIALS + 1, 101)
    assert len(denied(clone_engine)) == 2 * (MOST_DENIALS + 1)


def test_a_denial_is_told_to_the_tenant_whose_it_is(clone_engine: sa.Engine, key: ApiKeyText, tally: Tally) -> None:
    somebody = Principal(name="ci", tenant_id=ACME.tenant_id, tenant="acme", role=Role.READ, key_id=key.id)
    tally.note_denial(denial("a", principal=somebody, key_id=key.id))
    tally.note_denial(denial("b", key_id=key.id))
    tally.note_denial(denial("c", key_id="unknown"))
    tally.note_denial(denial("d"))
    tally.write()
    told = {each.details["route"]: (each.actor, each.key_id) for each in denied(clone_engine, "acme")}
    assert told == {"a": ("ci", key.id), "b": (None, key.id)}, "of a key that was shown, nobody knows who showed it"
    assert {each.details["route"]: each.key_id for each in denied(clone_engine)} == {"c": "unknown", "d": None}


def test_what_cannot_be_written_is_kept_and_stays_bounded(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise ServiceUnavailable

    monkeypatch.setattr(tallies, "transact", away)
    tally.note_use("a", datetime.now(UTC))
    for times in range(1, 4):
        for number in range(100):
            tally.note_denial(denial(key_id=str(times * 1000 + number)))
        with pytest.raises(ServiceUnavailable):
            tally.write()
        assert len(tally._denials) == MOST_DENIALS + 1
        assert sum(count.number for count in tally._denials.values()) == 100 * times
    assert tally._uses.keys() == {"a"}


def test_it_writes_by_itself_soon_and_before_it_ends(clone: str, clone_engine: sa.Engine) -> None:
    engine = make_engine(clone)
    tally = Tally(engine)
    tally.note_denial(denial("first"))
    until(lambda: len(denied(clone_engine)) == 1)
    tally.note_denial(denial("last"))
    tally.close()
    until(lambda: len(denied(clone_engine)) == 2)
    assert tally._thread is not None
    tally._thread.join(30)
    assert not tally._thread.is_alive()
    engine.dispose()


def test_a_database_that_is_away_ends_no_thread(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def away(*_: object) -> None:
        tries.append(1)
        raise ServiceUnavailable if len(tries) % 2 else RuntimeError

    for name, value in (("_COLLECT_SECONDS", 0.0), ("WRITE_SECONDS", 0.0), ("transact", away)):
        monkeypatch.setattr(tallies, name, value)
    tally = Tally(tally._engine)
    while len(tries) < 4:
        tally.note_denial(denial())
        time.sleep(0.01)
    tally.close()
    assert tally._thread is not None
    tally._thread.join(30)
    assert not tally._thread.is_alive()


kinds = st.dictionaries(
    st.sampled_from([denial(str(number)) for number in range(2 * MOST_DENIALS)]),
    st.integers(1, 9).map(lambda number: Count(first=0.0, last=1.0, number=number)),
    max_size=MOST_DENIALS,
)


@given(kinds, kinds)
def test_counts_together_lose_nothing(older: dict[Denial, Count], newer: dict[Denial, Count]) -> None:
    together = tallies._sum(older, newer)
    assert sum(each.number for each in together.values()) == sum(
        each.number for each in (*older.values(), *newer.values())
    )
    assert len(together) <= MOST_DENIALS + 1
    assert len(together.keys() - {others(None)}) <= MOST_DENIALS


def test_the_table_takes_nothing_back(clone_engine: sa.Engine, tally: Tally) -> None:
    tally.note_denial(denial())
    tally.write()
    for change in (
        sa.update(AuditEvent).values(actor="nobody"),
        sa.delete(AuditEvent),
        sa.text("TRUNCATE audit_event"),
    ):
        with pytest.raises(sa.exc.ProgrammingError, match="append-only"), clone_engine.begin() as connection:
            connection.execute(change)
    assert len(denied(clone_engine)) == 1
