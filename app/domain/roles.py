"""Who may do what: read < write < admin (design §5)."""

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from app.domain.names import DEFAULT_TENANT, tenant_id


class Role(Enum):
    """A credential's role; each one may do all that those before it may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, required: "Role") -> bool:
        """Whether this role may do what ``required`` may."""
        order = list(Role)
        return order.index(self) >= order.index(required)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whoever makes a request: a name for the record, the tenant that the request is confined to, and a role."""

    name: str
    tenant_id: UUID
    tenant: str
    role: Role
    key_id: str | None = None  # of the API key, if it is one

    @property
    def is_operator(self) -> bool:
        """Whether it runs the whole service: an administrator of the tenant `default`, and nobody else."""
        return self.role is Role.ADMIN and self.tenant_id == tenant_id(DEFAULT_TENANT)


def command_line(tenant: str) -> Principal:
    """Whoever can reach the database by the command line: an administrator of any tenant, named for the record."""
    return Principal(name="command line", tenant_id=tenant_id(tenant), tenant=tenant, role=Role.ADMIN)
