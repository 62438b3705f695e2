"""The identity provider's keys: fetched when they are needed, and kept while it is down."""

import logging
import time
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from typing import Any

from app.domain.errors import AuthenticationFailed, IdentityProviderUnavailable
from app.domain.strict_json import decode_object
from app.services.oidc.fetch import Unfetched, get
from app.services.oidc.jwks import PinnedKey, pinned_keys

_log = logging.getLogger(__name__)

FETCH_SECONDS = 3.0
"""How long a fetch may take in all, and a request wait for one."""

REFRESH_SECONDS = 300.0
"""How old keys may become before they are fetched again: a key that the provider withdraws is refused then."""

REFETCH_SECONDS = 60.0
"""How often keys are fetched again because a token names an unknown one, or because the last refresh failed."""

_RETRY_SECONDS = 5.0  # the same, while there are no keys at all
_MAX_DEPTH = 16

Keys = Mapping[str, PinnedKey]


def fetch_keys(issuer: str) -> Keys:
    """The keys of the issuer, by OpenID Connect Discovery. Raises Unfetched."""
    deadline = time.monotonic() + FETCH_SECONDS
    discovered = _document(issuer.removesuffix("/") + "/.well-known/openid-configuration", deadline)
    if discovered.get("issuer") != issuer:  # OpenID Connect Discovery §4.3
        raise Unfetched("its discovery document names another issuer")
    location = discovered.get("jwks_uri")
    if not isinstance(location, str):
        raise Unfetched("its discovery document names no keys")
    keys = pinned_keys(_document(location, deadline))
    if not keys:
        raise Unfetched("none of its keys is one for RS256 or ES256")
    return keys


def _document(url: str, deadline: float) -> dict[str, Any]:
    try:
        return decode_object(get(url, deadline), max_depth=_MAX_DEPTH)
    except ValueError:
        raise Unfetched("the answer is not a JSON object") from None


class Provider:
    """Gives a key by its id. At most one fetch is under way in a process, and who needs none waits for none."""

    def __init__(self, fetch: Callable[[], Keys], clock: Callable[[], float] = time.monotonic) -> None:
        """``fetch`` may raise Unfetched."""
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()  # held for moments only
        self._keys: Keys | None = None
        self._fetched: Event | None = None  # set at the end of the fetch that is under way
        self._patient_until = 0.0  # by when whoever waits for it has waited long enough
        self._refresh_at = 0.0
        self._refetch_at = 0.0

    def key(self, key_id: str) -> PinnedKey:
        """The key of this id.

        Raises AuthenticationFailed if there is none, IdentityProviderUnavailable if nobody can say.
        """
        if fetched := self._needed(key_id):
            fetched.wait(max(0.0, self._patient_until - self._clock()))
        keys = self._keys  # which a fetch may replace at any time
        if keys is None:
            raise IdentityProviderUnavailable
        if key_id not in keys:
            raise AuthenticationFailed
        return keys[key_id]

    def _needed(self, key_id: str) -> Event | None:
        """The fetch to wait for, if one is needed and due.

        When keys that are known are only old, one request fetches them, and the others go on with what there is.
        """
        with self._lock:
            now, keys = self._clock(), self._keys
            is_unknown = keys is not None and key_id not in keys
            if self._fetched is not None:
                return self._fetched if is_unknown or keys is None else None
            if now < (self._refetch_at if is_unknown else self._refresh_at):
                return None
            if is_unknown:
                self._refetch_at = now + REFETCH_SECONDS
            self._refresh_at = now + (_RETRY_SECONDS if keys is None else REFETCH_SECONDS)  # should this one fail
            self._patient_until = now + FETCH_SECONDS
            fetched = Event()
            Thread(target=self._run, args=(fetched,), name="jwks", daemon=True).start()
            self._fetched = fetched
            return fetched

    def _run(self, fetched: Event) -> None:
        try:
            self._keys = self._fetch()
            self._refresh_at = self._clock() + REFRESH_SECONDS
        except Unfetched as reason:
            _log.warning("the identity provider's keys could not be fetched: %s", reason)
        except Exception:
            _log.exception("the identity provider's keys could not be fetched")
        finally:
            with self._lock:
                self._fetched = None
            fetched.set()
