"""The provider's keys: when they are fetched, by whom, and who waits for that."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.domain.errors import AuthenticationFailed, IdentityProviderUnavailable
from app.services.oidc import provider
from app.services.oidc.fetch import Unfetched, get
from app.services.oidc.jwks import PinnedKey
from app.services.oidc.provider import FETCH_SECONDS, REFETCH_SECONDS, REFRESH_SECONDS, Keys, Provider, fetch_keys
from tests.services.oidc.issuer import WELL_KNOWN, Issuer, json_bytes, p256, public, rsa
from tests.serving import until

OLD, NEW = PinnedKey("RS256", rsa()), PinnedKey("ES256", p256())


class Published:
    """What a provider publishes, how often it was asked, and the time."""

    def __init__(self) -> None:
        self.keys: Keys | Exception = {"old": OLD}
        self.asked = 0
        self.now = 1000.0
        self.lets_go = threading.Event()
        self.lets_go.set()
        self.provider = Provider(self.fetch, clock=lambda: self.now)

    def fetch(self) -> Keys:
        self.asked += 1
        assert self.lets_go.wait(60)
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys

    def key(self, key_id: str) -> PinnedKey | type[Exception]:
        try:
            return self.provider.key(key_id)
        except (AuthenticationFailed, IdentityProviderUnavailable) as refused:
            return type(refused)


@pytest.fixture
def published() -> Iterator[Published]:
    published = Published()
    yield published
    published.lets_go.set()


def test_nothing_is_fetched_before_it_is_needed_and_nothing_twice(published: Published) -> None:
    assert published.asked == 0
    for _ in range(3):
        assert published.key("old") is OLD
    assert published.asked == 1


def test_an_unknown_key_is_looked_for_once_a_minute_at_most(published: Published) -> None:
    published.key("old")
    asked = []
    while published.now < 1000 + 3 * REFETCH_SECONDS:
        assert published.key(f"unknown {published.now}") is AuthenticationFailed
        asked.append(published.asked)
        published.now += 1
    assert asked == [2 + second // 60 for second in range(180)]


def test_a_new_key_is_found_at_once(published: Published) -> None:
    published.key("old")
    published.keys = {"old": OLD, "new": NEW}
    assert published.key("new") is NEW
    assert published.asked == 2


def test_a_withdrawn_key_is_refused_after_a_while_however_much_it_is_used(published: Published) -> None:
    published.key("old")
    published.keys = {"new": NEW}
    while published.now < 1000 + REFRESH_SECONDS:
        assert published.key("old") is OLD
        published.now += 10
    assert published.asked == 1
    for _ in range(2):
        assert published.key("old") is AuthenticationFailed
    assert published.asked == 3, "once because they are old, and once because this one is unknown since"


def test_keys_are_kept_while_the_provider_is_down(published: Published) -> None:
    published.key("old")
    published.keys = Unfetched("down")
    asked = []
    for minute in range(60):
        published.now = 1000 + REFRESH_SECONDS + 60 * minute
        assert [published.key("old"), published.key("old"), published.key("unknown")] == [
            OLD,
            OLD,
            AuthenticationFailed,
        ]
        asked.append(published.asked)
    assert asked[-1] <= 1 + 2 * 60
    published.keys, published.now = {"new": NEW}, published.now + 60
    assert published.key("new") is NEW


def test_without_any_keys_nobody_can_say_until_the_provider_is_back(published: Published) -> None:
    published.keys = Unfetched("down")
    for _ in range(5):
        assert published.key("old") is IdentityProviderUnavailable
    assert published.asked == 1
    published.keys = {"old": OLD}
    published.now += IdentityProviderUnavailable.retry_after_seconds
    assert published.key("old") is OLD


def test_a_defect_is_told_in_the_log_and_leaves_nobody_waiting(
    published: Published, caplog: pytest.LogCaptureFixture
) -> None:
    published.keys = RuntimeError("defect")
    assert published.key("old") is IdentityProviderUnavailable
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    published.keys, published.now = {"old": OLD}, published.now + 5
    assert published.key("old") is OLD


def together(published: Published, *key_ids: str) -> Callable[[], list[Any]]:
    """Looks for all of them at once, and lets the fetch end only when all have begun."""
    pool = ThreadPoolExecutor(len(key_ids))
    found = [pool.submit(published.key, key_id) for key_id in key_ids]
    return lambda: [each.result(60) for each in found]


def test_of_many_at_once_one_fetches_for_all(published: Published) -> None:
    published.lets_go.clear()
    results = together(published, *["old"] * 20, *["unknown"] * 10)
    until(lambda: published.asked == 1)
    published.lets_go.set()
    assert results() == [OLD] * 20 + [AuthenticationFailed] * 10
    assert published.asked <= 2, "and once more, should an unknown one have come late"


def test_while_old_keys_are_fetched_anew_the_others_go_on_with_them(published: Published) -> None:
    published.key("old")
    published.now += REFRESH_SECONDS
    published.keys = {"new": NEW}
    published.lets_go.clear()
    result = together(published, "old")
    until(lambda: published.asked == 2)
    assert published.key("old") is OLD, "it did not wait"
    published.lets_go.set()
    assert result() == [AuthenticationFailed]


@pytest.mark.timeout(60)  # it would wait for ever
def test_nobody_waits_for_longer_than_a_fetch_may_take(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "FETCH_SECONDS", 0.2)
    published.lets_go.clear()
    result = together(published, "old")
    until(lambda: published.asked == 1)
    published.now += 0.2
    for _ in range(1000):
        assert published.key("old") is IdentityProviderUnavailable
    assert result() == [IdentityProviderUnavailable]
    assert published.asked == 1, "and none is begun beside it"


# discovery


def test_keys_are_found_by_discovery(issuer: Issuer) -> None:
    assert set(fetch_keys(issuer.base)) == {"rsa", "ec"}
    assert issuer.asked == [WELL_KNOWN, "/jwks"]


def test_an_issuer_may_have_a_path_and_a_slash_at_its_end(issuer: Issuer) -> None:
    for path in ("/realms/main", "/realms/main/"):
        document = {"issuer": issuer.base + path, "jwks_uri": f"{issuer.base}/jwks"}
        issuer.answers[f"/realms/main{WELL_KNOWN}"] = (200, {}, json_bytes(document))
        assert set(fetch_keys(issuer.base + path)) == {"rsa", "ec"}


BAD: dict[str, Callable[[Issuer], dict[str, Any]]] = {
    "another issuer": lambda issuer: {
        WELL_KNOWN: {"issuer": "https://id.example.com", "jwks_uri": f"{issuer.base}/jwks"}
    },
    "no issuer": lambda issuer: {WELL_KNOWN: {"jwks_uri": f"{issuer.base}/jwks"}},
    "an issuer with a slash more": lambda issuer: {
        WELL_KNOWN: {"issuer": f"{issuer.base}/", "jwks_uri": f"{issuer.base}/jwks"}
    },
    "no keys' URL": lambda issuer: {WELL_KNOWN: {"issuer": issuer.base}},
    "a keys' URL that is a list": lambda issuer: {WELL_KNOWN: {"issuer": issuer.base, "jwks_uri": ["/jwks"]}},
    "a keys' URL without TLS": lambda issuer: {
        WELL_KNOWN: {"issuer": issuer.base, "jwks_uri": "http://id.example.com/"}
    },
    "a keys' URL that is a file": lambda issuer: {
        WELL_KNOWN: {"issuer": issuer.base, "jwks_uri": "file:///etc/passwd"}
    },
    "a list": lambda issuer: {WELL_KNOWN: []},
    "no JSON": lambda issuer: {WELL_KNOWN: b"<html>"},
    "no UTF-8": lambda issuer: {WELL_KNOWN: b'{"issuer": "\xff"}'},
    "nested deep": lambda issuer: {WELL_KNOWN: b'{"x":' + b"[" * 100_000},
    "the keys' URL twice": lambda issuer: {
        WELL_KNOWN: f'{{"issuer":"{issuer.base}","jwks_uri":"https://x/","jwks_uri":"{issuer.base}/jwks"}}'.encode()
    },
    "no set of keys": lambda issuer: {"/jwks": [public(rsa())]},
    "an empty set of keys": lambda issuer: {"/jwks": {"keys": []}},
    "keys that are no list": lambda issuer: {"/jwks": {"keys": {"rsa": public(rsa())}}},
    "keys that are null": lambda issuer: {"/jwks": {"keys": None}},
    "only unfit keys": lambda issuer: {"/jwks": {"keys": [public(rsa("weak", 1024))]}},
    "keys that are no JSON": lambda issuer: {"/jwks": b"-----BEGIN PUBLIC KEY-----"},
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_as_it_should_be_gives_no_keys(issuer: Issuer, name: str) -> None:
    for path, document in BAD[name](issuer).items():
        issuer.answers[path] = (200, {}, json_bytes(document))
    with pytest.raises(Unfetched) as refused:
        fetch_keys(issuer.base)
    assert issuer.base not in str(refused.value)


def test_both_documents_have_one_deadline(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: list[float] = []

    def recorded(url: str, deadline: float) -> bytes:
        deadlines.append(deadline)
        return get(url, deadline)

    monkeypatch.setattr(provider, "get", recorded)
    fetch_keys(issuer.base)
    first, second = deadlines
    assert first == second <= time.monotonic() + FETCH_SECONDS
