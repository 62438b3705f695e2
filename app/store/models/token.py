"""Completion tokens."""

from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base, Count, Created


class CompletionToken(Base):
    """A token. Nothing is written to it after its insert; it goes when its partition is dropped.

    No foreign key: it would lock, and so write to, the connector's hot row at every issue. A connector's row is
    never deleted, and the one statement that inserts here reads it.
    """

    __tablename__ = "completion_token"
    __table_args__ = (
        CheckConstraint("epoch_number >= 1", name="epoch_number"),
        CheckConstraint("binding >= 1", name="binding"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    connector_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)  # UUIDv7
    epoch_number: Mapped[Count]
    binding: Mapped[Count]
    issued_at: Mapped[Created]
    issued_by: Mapped[str]
