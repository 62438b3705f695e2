"""Every route, asked by every role, for one's own things, for another tenant's, and for what there is not.

To a stranger, another tenant's object is one that is not there, to the byte: nothing tells that it exists.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from app.api.auth import ROLES
from app.config import AuthProvider, Config
from app.domain.api_key import ApiKeyText
from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Role
from app.factory import create_app
from tests.api.client import Api
from tests.api.conftest import _CONTENTS, MakeApp, by_hand
from tests.api.matrix import CASES, Case, Things, absent, made
from tests.services.reporting import settle
from tests.tenants import add_key

DERIVED = ("HEAD", "OPTIONS")  # methods that Flask adds to a route by itself; each is asked beside the route's own
VARYING = ("Date", "X-Request-ID")
MASKS = {
    "KEY": r"tmk_[a-z2-7]{16}_[a-z2-7]{59}",
    "TOKEN": r"ct1_[a-z2-7]{52}",
    "KEY_ID": r'(?<=")[a-z2-7]{16}(?=")',
    "TIME": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
    "EVENT": r"(?m)^(id|retry): .*$",
}
"""What is different in any two answers, because it is random or a time, and so may be in these."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is told."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    """An application of these tests' own, which writes down nothing behind their back."""
    app = make_app(auth_provider=AuthProvider.API_KEY, allow_unsafe_database=True)
    by_hand(app)
    return app


class Tenant:
    """A tenant's clients, by role; those without one are nobody, and one with a key that is wrong."""

    def __init__(self, app: Flask, engine: sa.Engine, name: str = "") -> None:
        self.name = name or uuid.uuid4().hex
        with engine.begin() as connection:
            keys = {role.value: add_key(connection, self.name, role, self._key_name(role)) for role in Role}
        bad = str(ApiKeyText(ApiKeyText.parse(keys["admin"]).id, "a" * 52))
        self.clients = {role: Api(app, key, self.name) for role, key in {"none": None, "bad": bad, **keys}.items()}

    def _key_name(self, role: Role) -> str:
        return uuid.uuid4().hex if self.name == DEFAULT_TENANT else role.value

    def ask(self, case: Case, things: Things) -> dict[tuple[str, str], Answer]:
        """What each role is answered, by method and role."""
        methods = (case.method, *DERIVED) if case.method == "GET" else (case.method, "OPTIONS")
        return {
            (method, role): self.told(case.ask(client, method, things))
            for method in methods
            for role, client in self.clients.items()
        }

    def told(self, response: TestResponse) -> Answer:
        """What is said to the tenant, in words that it would be told, too, were it another one of the same."""
        with response:
            body = response.get_data(as_text=True).replace(self.name, "TENANT")
        for name, pattern in MASKS.items():
            body = re.sub(pattern, name, body)
        headers = sorted((name, value) for name, value in response.headers if name not in VARYING)
        return Answer(response.status_code, tuple(headers), body)


def is_allowed(case: Case, role: str) -> bool:
    required = ROLES[case.endpoint]
    return required is None or (role not in ("none", "bad") and Role(role).allows(required))


def expected(case: Case, method: str, role: str, *, first: bool) -> int:
    """The status that the owner of the things is answered."""
    if not is_allowed(case, role):
        return 401 if role in ("none", "bad") else 403
    if method == "HEAD" and case.head:
        return case.head
    return case.own if first or case.again is None else case.again


def contents(engine: sa.Engine, tenant: Tenant) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(_CONTENTS, {"tenant": tenant_id(tenant.name)}))


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    app = create_app(Config(database_url="postgresql+psycopg://nobody@localhost/nothing"))
    routes = {(rule.endpoint, method) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    assert {each for each in routes if each[1] not in DERIVED} == {(case.endpoint, case.method) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_another_tenants_object_is_one_that_is_not_there(app: Flask, engine: sa.Engine, case: Case) -> None:
    name = uuid.uuid4().hex
    nothing = absent(name)
    when_absent = Tenant(app, engine).ask(case, nothing)

    owner = Tenant(app, engine)
    things = made(owner.clients["admin"], owner.name, name)
    before = contents(engine, owner)
    when_others = Tenant(app, engine).ask(case, things)
    for place, answer in when_others.items():
        assert answer == when_absent[place], place
    assert contents(engine, owner) == before, "a stranger has changed something"

    asked = Tenant(app, engine, DEFAULT_TENANT) if case.operator else owner
    for (method, role), answer in asked.ask(case, things).items():
        if method != "OPTIONS":  # which goes to whichever route of a path comes first
            first = method != case.method or role == first_allowed(case)
            assert answer.status == expected(case, method, role, first=first), (method, role, answer.body)


def first_allowed(case: Case) -> str:
    return next(role for role in ("none", "bad", "read", "write", "admin") if is_allowed(case, role))


def test_the_same_names_in_two_tenants_are_two_things(app: Flask, engine: sa.Engine) -> None:
    """Both have all that can be had, under the same names; whatever one does, the other is told what he was before."""
    begun = quarter()
    name, mine, others = uuid.uuid4().hex, Tenant(app, engine), Tenant(app, engine)
    others_api = others.clients["admin"]
    things = made(others_api, others.name, name)
    settle(engine)  # or some of his events would be told later
    reads = [case for case in CASES if case.method == "GET" and case.endpoint != "connectors.issue_completion_token"]
    reads = [case for case in reads if ROLES[case.endpoint] and not case.operator]
    before = contents(engine, others), told(others, reads, things)

    ours = made(mine.clients["admin"], mine.name, name)
    for case in CASES:
        if ROLES[case.endpoint]:
            case.ask(mine.clients["admin"], case.method, ours).close()
    report = {"fatal_error": "of mine alone", "metrics": {"total_records": 987654321}}
    mine.clients["admin"].report(report, 0, ours.connector)
    mine.clients["admin"].request("POST", "/v0/api_keys", json={"name": "mine-alone"})
    changed = "".join(told(mine, reads, ours))
    assert all(mark in changed for mark in ("of mine alone", "987654321", "mine-alone"))

    after = contents(engine, others), told(others, reads, things)
    assert after == before or quarter() != begun


def quarter() -> int:
    """Of the hour: with each the metrics of tokens begin again."""
    return datetime.now(UTC).minute // 15


def told(tenant: Tenant, reads: list[Case], things: Things) -> list[str]:
    """All that the tenant can read, but for how much later it is."""
    answers = [tenant.told(case.ask(tenant.clients["admin"], "GET", things)).body for case in reads]
    return [_LATER.sub("", answer) for answer in answers]


_LATER = re.compile(r'"(lag_seconds|report_age_seconds|estimated\w*|rate)": ?[^,}]*|(?<=_seconds)\{.*\} .*')
