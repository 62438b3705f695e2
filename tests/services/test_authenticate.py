"""Keys seen a moment ago: let in without another look, and not for longer than is promised."""

from uuid import uuid4

import pytest

from app.domain.api_key import ApiKeyText
from app.domain.errors import AuthenticationFailed
from app.domain.roles import Principal, Role
from app.services import authenticate
from app.services.authenticate import REMEMBERED_SECONDS, Principals

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
