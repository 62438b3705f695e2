"""Bearers of tokens: in which tenant they are, with which role, and for how long without another look."""

import time
from typing import Any
from uuid import UUID

import pytest

from app.domain.errors import AuthenticationFailed
from app.domain.jwt import TokenRules
from app.domain.names import tenant_id
from app.domain.roles import Principal, Role
from app.services.authenticate import REMEMBERED_SECONDS
from app.services.oidc import bearers
from app.services.oidc.bearers import Bearers
from app.services.oidc.jwks import pinned_keys
from tests.services.oidc.issuer import AUDIENCE, Issuer

ISSUER = Issuer("https://id.example.com")
KEYS = pinned_keys({"keys": ISSUER.keys})


class World:
    """The tenants there are, the time, and how often somebody has looked for a tenant."""

    def __init__(self, **rules: Any) -> None:
        self.tenants = {"acme", "globex"}
        self.looks = 0
        self.now, self.clock = time.time(), 100.0
        given: dict[str, Any] = {
            "tenants_claim": "tenants",
            "roles_claim": "roles",
            "roles": {role.value: role for role in Role},
        }
        given |= {"issuer": ISSUER.base, "audience": AUDIENCE, "types": frozenset({"at+jwt"})} | rules
        self.bearers = Bearers(
            TokenRules(**given), KEYS.__getitem__, self.find, now=lambda: self.now, clock=lambda: self.clock
        )

    def find(self, name: str) -> UUID | None:
        self.looks += 1
        return tenant_id(name) if name in self.tenants else None

    def principal(self, token: str, tenant: str = "") -> Principal:
        return self.bearers.find(token, tenant).principal

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.clock += seconds


@pytest.fixture
def world() -> World:
    return World()


def token(**claims: Any) -> str:
    return ISSUER.token(claims=ISSUER.claims(**claims))


def test_a_token_stands_for_its_subject_in_its_tenant(world: World) -> None:
    expected = Principal(name="ada", tenant_id=tenant_id("acme"), tenant="acme", role=Role.WRITE)
    assert world.principal(token(roles=["write"])) == expected


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["read"], Role.READ),
        (["admin", "read", "other"], Role.ADMIN),
        (["read", "write"], Role.WRITE),
        ("read write", Role.WRITE),
        ("openid,admin", Role.ADMIN),
    ],
)
def test_the_highest_role_counts(world: World, roles: Any, role: Role) -> None:
    assert world.principal(token(roles=roles)).role is role


def test_roles_are_named_as_the_provider_names_them() -> None:
    world = World(roles={"data readers": Role.READ, "ops": Role.ADMIN}, roles_claim="realm_access.roles")
    assert world.principal(token(realm_access={"roles": ["data readers"]})).role is Role.READ
    for claims in (
        {"roles": ["ops"]},
        {"realm_access": ["ops"]},
        {"realm_access": "ops"},
        {"realm_access.roles": ["ops"]},
    ):
        with pytest.raises(AuthenticationFailed, match="no role"):
            world.principal(token(**claims))


def test_a_claim_may_be_named_by_a_url() -> None:
    name = "https://example.com/groups"
    world = World(tenants_claim=name)
    assert world.principal(token(**{name: ["globex"]}, tenants=None)).tenant == "globex"


@pytest.mark.parametrize("tenants", [["acme", "globex", "gone"], "acme,globex,gone", "acme globex gone"])
def test_the_tenant_is_chosen_among_the_tokens_own(world: World, tenants: Any) -> None:
    for tenant in ("acme", "globex"):
        assert world.principal(token(tenants=tenants), tenant).tenant == tenant


def test_nobody_is_in_a_tenant_that_is_not_chosen_not_theirs_or_not_there(world: World) -> None:
    world.tenants.add("foreign")
    refusals = set()
    for tenant in ("", "foreign", "unknown", "gone", "ACME", "acme ", "acme,globex", "*", "\xff", "a" * 5000):
        with pytest.raises(AuthenticationFailed) as refused:
            world.principal(token(tenants=["acme", "globex", "gone"]), tenant)
        refusals.add(str(refused.value))
    assert len(refusals) == 1
    assert world.looks == 1, "only for the one that the token is for"


def test_whom_a_token_stands_for_is_remembered_for_each_tenant_by_itself(world: World) -> None:
    both = token(tenants=["acme", "globex"])
    assert [world.principal(both, tenant).tenant for tenant in ("acme", "globex") * 3] == ["acme", "globex"] * 3
    assert world.looks == 2
    with pytest.raises(AuthenticationFailed):
        world.principal(both)
    assert both not in repr(world.bearers._seen)


def test_a_tenant_that_has_gone_is_refused_after_the_promised_time(world: World) -> None:
    good = token()
    world.principal(good)
    world.tenants.clear()
    while world.clock < 100.0 + REMEMBERED_SECONDS:
        world.principal(good)
        world.passes(0.1)
    with pytest.raises(AuthenticationFailed):
        world.principal(good)


@pytest.mark.parametrize("before", [0.0, 0.5, 1.5])
def test_no_token_is_remembered_past_its_end(world: World, before: float) -> None:
    """It was let in a moment ago, and yet."""
    good = token(exp=int(world.now) + 10)
    world.passes(int(world.now) + 10 - world.now - before - 0.25)
    world.principal(good)
    world.passes(before)
    world.principal(good)
    world.passes(0.3)
    with pytest.raises(AuthenticationFailed):
        world.principal(good)


def test_a_refused_token_is_not_remembered(world: World) -> None:
    good = token(tenants=["late"])
    with pytest.raises(AuthenticationFailed):
        world.principal(good)
    world.tenants.add("late")
    assert world.principal(good).tenant == "late"


def test_what_is_remembered_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bearers, "_MOST_REMEMBERED", 2)
    for number in range(10):
        world.principal(token(sub=f"robot {number}"))
        assert len(world.bearers._seen) <= 2
