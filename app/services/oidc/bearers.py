"""Whom an access token stands for, remembered for a moment."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from app.domain.errors import AuthenticationFailed
from app.domain.jwt import AccessToken, TokenRules, parse
from app.domain.roles import Principal
from app.services.authenticate import REMEMBERED_SECONDS
from app.services.oidc.jwks import PinnedKey

_MOST_REMEMBERED = 10_000  # tokens


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whoever has the token, in the tenant that the request chose."""

    principal: Principal
    expires_at: float  # seconds since 1970


class Bearers:
    """Judges tokens. One that was let in is for REMEMBERED_SECONDS without another look, but never past its end."""

    def __init__(
        self,
        rules: TokenRules,
        key: Callable[[str], PinnedKey],
        find_tenant: Callable[[str], UUID | None],
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``key`` and ``find_tenant`` give the provider's key by its id and the tenant's id by its name."""
        self._rules = rules
        self._key = key
        self._find_tenant = find_tenant
        self._now, self._clock = now, clock
        self._seen: dict[bytes, tuple[float, Bearer]] = {}

    def find(self, text: str, tenant: str) -> Bearer:
        """Whose token it is, in the tenant of this name; "": in the only one that it is for.

        Raises AuthenticationFailed, of unknown tenants and of others' in the same words, and Unavailable while the
        provider's keys, or the database, cannot be had.
        """
        digest = sha256(f"{tenant}\n{text}".encode(errors="replace")).digest()
        now = self._clock()  # from before the look, as for keys
        until, bearer = self._seen.get(digest, (0.0, None))
        if bearer is None or until <= now:
            bearer = self._look(text, tenant)
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen.clear()
            self._seen[digest] = now + min(REMEMBERED_SECONDS, bearer.expires_at - self._now()), bearer
        return bearer

    def _look(self, text: str, tenant: str) -> Bearer:
        # In this order: who makes up tokens causes no fetch unless they look right, and never a look at the database.
        token = parse(text, self._rules, self._now())
        key = self._key(token.key_id)
        if key.algorithm != token.algorithm or not key.has_signed(text):
            raise AuthenticationFailed
        if token.role is None:
            raise AuthenticationFailed("The token is valid, but gives no role here")
        name = _chosen(token, tenant)
        found = self._find_tenant(name) if name else None
        if found is None:
            raise AuthenticationFailed(
                "The token is valid, but names no such tenant: name one of its own in Feldera-Tenant"
            )
        principal = Principal(name=token.subject, tenant_id=found, tenant=name, role=token.role)
        return Bearer(principal, token.expires_at)


def _chosen(token: AccessToken, tenant: str) -> str:
    """The tenant that is meant: "" for none."""
    if not tenant and len(token.tenants) == 1:
        return next(iter(token.tenants))
    return tenant if tenant in token.tenants else ""
