"""Who may do what: read < write < admin (design §5)."""

from dataclasses import dataclass
from enum import Enum
from uuid import UUID


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
