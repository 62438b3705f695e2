from uuid import uuid4

import pytest

from app.domain.names import DEFAULT_TENANT, tenant_id
from app.domain.roles import Principal, Role, command_line

OF_ALL = [(role, tenant) for role in Role for tenant in (DEFAULT_TENANT, "acme", "Default")]


@pytest.mark.parametrize(("role", "tenant"), OF_ALL)
def test_operators_are_the_administrators_of_the_one_tenant(role: Role, tenant: str) -> None:
    principal = Principal(name="ci", tenant_id=tenant_id(tenant), tenant=tenant, role=role)
    assert principal.is_operator is ((role, tenant) == (Role.ADMIN, DEFAULT_TENANT))


def test_it_is_the_tenants_id_that_counts_and_not_what_it_is_called() -> None:
    assert not Principal(name="ci", tenant_id=uuid4(), tenant=DEFAULT_TENANT, role=Role.ADMIN).is_operator


def test_the_command_line_is_an_administrator_of_the_tenant_it_names() -> None:
    assert (command_line("acme").role, command_line("acme").tenant_id) == (Role.ADMIN, tenant_id("acme"))
