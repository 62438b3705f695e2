"""Keys seen a moment ago: let in without another look, and not for longer than is promised."""

from collections.abc import Sequence
from uuid import uuid4

import pytest
import sqlalchemy as sa

from app.domain.api_key import ApiKeyText
from app.domain.errors import AuthenticationFailed, ServiceUnavailable
from app.domain.roles import Principal, Role, command_line
from app.services import authenticate
from app.services.authenticate import REMEMBERED_SECONDS, WATCHED_SECONDS, KeyWatch, Principals
from app.services.keys import create_key, revoke_key
from app.store.keys import still_valid
from app.store.models import ApiKey
from tests.tenants import add_tenant

KEY, OTHER = (str(ApiKeyText.make(bytes([n]) * 10, bytes([n]) * 32)) for n in (1, 2))
HOLDER = Principal(name="ci", tenant_id=uuid4(), tenant="acme", role=Role.READ)


class Keys:
    """The database's, and how often it was asked."""

    def __init__(self) -> None:
        self.valid = {KEY, OTHER}
        self.looks = 0
        self.now = 100.0

    def look(self, key: ApiKeyText) -> Principal:
        self.looks += 1
        if str(key) not in self.valid:
            raise AuthenticationFailed
        return HOLDER


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def principals(keys: Keys) -> Principals:
    return Principals(clock=lambda: keys.now)


def test_a_key_is_looked_up_once_in_a_while(keys: Keys, principals: Principals) -> None:
    for now, looks in ((100.0, 1), (101.9, 1), (102.0, 2), (103.9, 2), (104.0, 3)):
        keys.now = now
        assert principals.find(KEY, keys.look) is HOLDER
        assert keys.looks == looks


def test_a_revoked_key_is_refused_after_the_promised_time_however_often_it_is_used(
    keys: Keys, principals: Principals
) -> None:
    principals.find(KEY, keys.look)
    keys.valid.clear()
    while keys.now < 100.0 + REMEMBERED_SECONDS:
        principals.find(KEY, keys.look)
        keys.now += 0.1
    for _ in range(2):
        with pytest.raises(AuthenticationFailed):
            principals.find(KEY, keys.look)


def test_the_time_counts_from_before_the_look(keys: Keys, principals: Principals) -> None:
    """A revocation may come between what the database saw and its answer, however late that is."""

    def slow(key: ApiKeyText) -> Principal:
        keys.now += 1.5
        return keys.look(key)

    principals.find(KEY, slow)
    keys.valid.clear()
    keys.now += 0.6
    with pytest.raises(AuthenticationFailed):
        principals.find(KEY, keys.look)


def test_a_wrong_key_is_never_remembered_and_never_let_in(keys: Keys, principals: Principals) -> None:
    principals.find(KEY, keys.look)
    wrong = KEY[:-1] + ("a" if KEY[-1] != "a" else "b")
    for credential in (wrong, "", KEY.upper(), f"{KEY} ", "ü", "\udcff", OTHER[:30] + KEY[30:]):
        with pytest.raises(AuthenticationFailed):
            principals.find(credential, keys.look)
    assert len(principals._seen) == 1
    assert KEY not in repr(principals._seen)


def test_forgetting_looks_at_once(keys: Keys, principals: Principals) -> None:
    principals.find(KEY, keys.look)
    principals.forget()
    keys.valid.clear()
    with pytest.raises(AuthenticationFailed):
        principals.find(KEY, keys.look)


def test_what_is_remembered_is_bounded(keys: Keys, principals: Principals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticate, "_MOST_REMEMBERED", 1)
    for key in (KEY, OTHER, KEY):
        principals.find(key, keys.look)
        assert len(principals._seen) == 1


# the keys of those who stay


class Watch:
    """A watch over keys, which the database knows by their ids."""

    def __init__(self) -> None:
        self.valid = {"a", "b"}
        self.asked: list[set[str]] = []
        self.now = 100.0
        self.is_away = False
        self.watch = KeyWatch(self.look, clock=lambda: self.now)

    def look(self, keys: Sequence[str]) -> set[str]:
        self.asked.append(set(keys))
        if self.is_away:
            raise ServiceUnavailable
        return self.valid & set(keys)


def test_the_keys_of_all_who_stay_are_looked_up_together_once_in_a_while() -> None:
    it = Watch()
    with it.watch.watching("a") as first, it.watch.watching("b") as second, it.watch.watching("a") as third:
        for now, looks in ((100.0, 1), (109.9, 1), (110.0, 2)):
            it.now = now
            assert [first(), second(), third()] == [True] * 3
            assert it.asked == [{"a", "b"}] * looks
        it.valid = {"b"}
        assert first(), "until the next look"
        it.now += WATCHED_SECONDS
        assert [first(), second(), third()] == [False, True, False]
    with it.watch.watching("b") as last:
        it.now += WATCHED_SECONDS
        assert last()
    assert it.asked[-1] == {"b"}, "nobody looks for those who have left"


def test_nobody_is_turned_away_because_the_database_is() -> None:
    it = Watch()
    it.is_away = True
    with it.watch.watching("a") as is_valid:
        assert is_valid()
        it.is_away, it.valid = False, set()
        it.now += WATCHED_SECONDS
        assert not is_valid()
        it.is_away = True
        it.now += WATCHED_SECONDS
        assert not is_valid(), "nor let in again"


def test_without_a_key_there_is_nothing_to_look_up() -> None:
    it = Watch()
    with it.watch.watching(None) as is_valid:
        assert is_valid()
    assert it.asked == []


def test_a_key_is_valid_until_it_is_revoked_or_expires(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        by = command_line(uuid4().hex)
        add_tenant(connection, by.tenant)
        made = {name: create_key(connection, by, name, Role.READ)[0].id for name in "abc"}
        revoke_key(connection, by, "a")
        expired = sa.update(ApiKey).where(ApiKey.id == made["b"]).values(expires_at=sa.func.now())
        connection.execute(expired)
        assert still_valid(connection, [*made.values(), "unknown"]) == {made["c"]}
        assert still_valid(connection, []) == set()
