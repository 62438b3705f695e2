"""What is read of where connectors stand: those that have got as far as is waited for, and no others."""

import uuid
from itertools import product

import sqlalchemy as sa

from app.domain.names import Address
from app.domain.waiting import Need, Standing
from app.services.report import remove_connector
from app.store import standings
from app.store.engine import run, transact
from tests.services.reporting import report
from tests.tenants import add_tenant


def test_only_what_is_settled_is_read_and_all_of_that(clone_engine: sa.Engine) -> None:
    """Of connectors in their first epoch and in their second, of one that was removed and one that never was."""
    with clone_engine.begin() as connection:
        tenant = add_tenant(connection, "standings")
    first, second, removed = (Address(tenant, "demo", "orders", name) for name in ("first", "second", "removed"))
    for address in (first, second, removed):
        for version in range(3):
            report(clone_engine, address, version, received=version + 1, completed=version)
    report(clone_engine, second, 3, received=1, completed=1, epoch="next")
    transact(clone_engine, lambda connection: remove_connector(connection, removed))
    stand = {
        first.id: Standing(first.id, 1, 2),
        second.id: Standing(second.id, 2, 4),
        removed.id: Standing(removed.id, 0, 2),
        (unknown := uuid.uuid4()): Standing(unknown, 0, 0),
    }
    for epoch, binding in product((1, 2), (1, 2, 3, 4, 2**63 - 1)):
        needs = {connector: Need(connector, epoch, binding) for connector in stand}
        found = run(clone_engine, lambda connection: standings.read(connection, needs))  # noqa: B023 - run at once
        expected = [stand[connector] for connector, need in needs.items() if stand[connector].settles(need)]
        assert sorted(found, key=str) == sorted(expected, key=str)
    everywhere = run(clone_engine, lambda connection: standings.read(connection, dict.fromkeys(stand)))
    assert sorted(everywhere, key=str) == sorted(stand.values(), key=str)
