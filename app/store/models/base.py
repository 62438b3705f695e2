"""What all models are made of: the base class, and columns' types that take one word each."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, LargeBinary, MetaData, Numeric, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

Timestamp = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Created = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
Count = Annotated[int, mapped_column(BigInteger)]
Records = Annotated[Decimal, mapped_column(Numeric)]  # a sum over components: may pass 2^63
Json = Annotated[Any, mapped_column(JSONB(none_as_null=True))]
ConnectorKey = Annotated[UUID, mapped_column(Uuid, ForeignKey("connector.id"), primary_key=True)]


class Base(DeclarativeBase):
    """Every constraint has a stable name: the store translates driver errors by it, migrations drop by it."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar = {str: Text, datetime: DateTime(timezone=True), UUID: Uuid, bytes: LargeBinary}
