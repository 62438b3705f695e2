"""A page of the fleet, however the database chooses to find it."""

import json
import random
import uuid

import pytest
import sqlalchemy as sa

from app.domain.connector import Report
from app.domain.names import Address
from app.services.report import Addressed, record
from app.store.engine import transact
from app.store.fleet import Filters, read_page
from tests.services.reporting import KEEP_EVERY
from tests.tenants import add_tenant


@pytest.mark.parametrize("forbidden", ["nestloop", "hashjoin", "mergejoin", "bitmapscan", "sort"])
def test_the_order_does_not_depend_on_the_plan(engine: sa.Engine, forbidden: str) -> None:
    names = [f"c{number:02}" for number in range(60)]
    with engine.begin() as connection:
        tenant = add_tenant(connection, uuid.uuid4().hex)
    items = [Addressed(Address(tenant, "demo", "orders", name), Report(if_match=0)) for name in names]
    transact(engine, lambda c: record(c, random.sample(items, len(items)), keep_every=KEEP_EVERY))
    with engine.connect() as connection:
        connection.execute(sa.text(f"SET LOCAL enable_{forbidden} = off"))
        first = read_page(connection, tenant, Filters(), None, 50)
        second = read_page(connection, tenant, Filters(), first.last, 50)
    told = [json.loads(member)["connector"] for page in (first, second) for member in page.members]
    assert (told, second.last) == (names, None)
