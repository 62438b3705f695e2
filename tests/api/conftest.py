"""The application under test, on the shared database, a tenant of its own for each test."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.api.runtime import Runtime
from app.config import AuthProvider, Config
from app.domain.roles import Role
from app.factory import create_app
from app.services.authenticate import create_key
from app.store.keys import add_tenant

ORDERS = "/v0/pipelines/demo/tables/orders/connectors/billing"


@pytest.fixture(scope="session")
def app(database_url: str) -> Iterator[Flask]:
    """The application with API keys on."""
    app = create_app(Config(database_url=database_url, auth_provider=AuthProvider.API_KEY))
    yield app
    runtime: Runtime = app.extensions["tidemark"]
    runtime.engine.dispose()


@pytest.fixture
def make_key(engine: sa.Engine) -> Callable[..., str]:
    """Makes an API key, of a tenant of its own unless one is named, and answers its text."""

    def make(role: Role = Role.ADMIN, tenant: str | None = None) -> str:
        with engine.begin() as connection:
            owner = add_tenant(connection, tenant or uuid.uuid4().hex)
            _, key = create_key(connection, owner, uuid.uuid4().hex, role, by=Role.ADMIN)
        return str(key)

    return make


class Api:
    """A client with a credential, and the requests that most tests make."""

    def __init__(self, client: FlaskClient, key: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {key}"}

    def request(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = self.headers | kwargs.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.request("GET", path, **kwargs)

    def stats(self, connector: str = ORDERS, **kwargs: Any) -> TestResponse:
        return self.get(f"{connector}/stats", **kwargs)

    def report(self, body: Any, if_match: int | None, connector: str = ORDERS) -> TestResponse:
        """Sends one report; None leaves If-Match out."""
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        return self.request("PUT", f"{connector}/stats", json=body, headers=headers)

    def position(self, received: Any, completed: Any, if_match: int, epoch: str | None = None) -> TestResponse:
        """Sends a report of just a position."""
        position = {"received": received, "completed": completed} | ({"epoch": epoch} if epoch else {})
        return self.report({"position": position}, if_match)

    def issue(self, connector: str = ORDERS) -> TestResponse:
        return self.get(f"{connector}/completion_token")

    def token(self) -> str:
        """A new token on the usual connector."""
        response = self.issue()
        assert response.status_code == 200, response.text
        return str(response.get_json()["token"])

    def check(self, token: str, pipeline: str = "demo") -> TestResponse:
        return self.get(f"/v0/pipelines/{pipeline}/completion_status", query_string={"token": token})


@pytest.fixture
def api(app: Flask, make_key: Callable[..., str]) -> Api:
    """A client that may do anything within a tenant of its own."""
    return Api(app.test_client(), make_key())
