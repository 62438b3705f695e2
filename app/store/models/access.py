"""Who may do what, and who did: tenants, their keys and analysts, the audit."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base, Created, Json, Timestamp


class Tenant(Base):
    """Whose pipelines they are. The id is the UUIDv5 of the name the tenant was created with."""

    __tablename__ = "tenant"
    __table_args__ = (UniqueConstraint("name"), CheckConstraint("name <> ''", name="name_not_empty"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[Created]


class ApiKey(Base):
    """A credential. Only the digest of its secret is kept; a revoked key stays, for the record of who did what."""

    __tablename__ = "api_key"
    __table_args__ = (
        CheckConstraint("octet_length(digest) = 32", name="digest_sha256"),
        CheckConstraint("role IN ('read', 'write', 'admin')", name="role"),
        Index(
            "uq_api_key_tenant_id_name_active",
            "tenant_id",
            "name",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    name: Mapped[str]
    digest: Mapped[bytes]
    role: Mapped[str]
    created_at: Mapped[Created]
    expires_at: Mapped[Timestamp | None]
    revoked_at: Mapped[Timestamp | None]  # to come, while a rotated key is still in its grace
    last_used_at: Mapped[Timestamp | None]  # the hour of it; written at most once an hour


class AuditEvent(Base):
    """What somebody has done, or was denied. Append-only: a trigger refuses everything but an insert.

    The key is random, and no sequence: its gaps would tell a tenant how much the others do.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        CheckConstraint(
            "action IN ('key.created', 'key.rotated', 'key.revoked', 'tenant.created', 'connector.removed', 'denied')",
            name="action",
        ),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    at: Mapped[Timestamp] = mapped_column(primary_key=True, server_default=func.clock_timestamp())
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    action: Mapped[str]
    actor: Mapped[str | None]  # null: not known
    key_id: Mapped[str | None]  # the API key that came with the request, which need not have been valid
    details: Mapped[Json]


class Analyst(Base):
    """A database role and the one tenant whose rows it reads, by the policies in ``app/store/roles.py``."""

    __tablename__ = "analyst"

    role: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    granted_at: Mapped[Created]
