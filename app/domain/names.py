"""How pipelines, tables and connectors are named and addressed (the dialect's "Names")."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from uuid import UUID, uuid5

from app.domain.errors import InvalidParam

DEFAULT_TENANT = "default"
MAX_PIPELINE_NAME = 63
MAX_NAME = 255

_TENANTS = UUID("7fa6d3c4-6f0a-5d6e-9c86-2b8f0b1f4f1d")  # namespace of tenant ids; never change it
_PIPELINE = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_PIPELINE_NAME}}}")
_CONNECTOR = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME}}}")
_API_KEY = re.compile(r"tmk_[a-z2-7]{16}_[a-z2-7]{59}")


def tenant_id(name: str) -> UUID:
    """The id of a tenant, given at its creation."""
    return uuid5(_TENANTS, name)


@lru_cache(maxsize=4096)
def pipeline_id(tenant: UUID, pipeline: str) -> UUID:
    """The id of a pipeline (design §3): UUIDv5 of its name within its tenant."""
    return uuid5(tenant, pipeline)


def pipeline_name(name: str) -> str:
    """The name itself, when it is one a pipeline may have; raises InvalidParam."""
    if not _PIPELINE.fullmatch(name):
        raise InvalidParam(f"pipeline: use 1 to {MAX_PIPELINE_NAME} letters, digits, '-' or '_'")
    return name


def connector_name(name: str) -> str:
    """The name itself, when it is one a connector may have; raises InvalidParam."""
    if not _CONNECTOR.fullmatch(name):
        raise InvalidParam(f"connector: use 1 to {MAX_NAME} letters, digits, '_', '-' or '.'")
    return name


def key_name(name: str) -> str:
    """The name itself, when it is one an API key or a tenant may have; raises InvalidParam.

    None holds an API key, which somebody may send in the wrong place, and which nothing may keep.
    """
    if _API_KEY.search(name):
        raise InvalidParam("name: this is an API key, and no name for one")
    if not _CONNECTOR.fullmatch(name):
        raise InvalidParam(f"name: use 1 to {MAX_NAME} letters, digits, '_', '-' or '.'")
    return name


def canonical_table(name: str) -> str:
    """The one spelling of a table's name: as it stands when in double quotes, else in lower case.

    ``numbers1``, ``Numbers1`` and ``"numbers1"`` are one table, ``"Numbers1"`` is another. Raises InvalidParam
    for an empty or overlong name, and for characters that would let two names alias: control characters, lone
    surrogates, and U+FFFD, which is what bad UTF-8 becomes on its way here.
    """
    quoted = len(name) >= 2 and name.startswith('"') and name.endswith('"')
    table = name[1:-1] if quoted else name.lower()
    if not 0 < len(table) <= MAX_NAME:
        raise InvalidParam(f"table: a name has 1 to {MAX_NAME} characters")
    if any(unicodedata.category(c) in ("Cc", "Cs") or c == "\N{REPLACEMENT CHARACTER}" for c in table):
        raise InvalidParam("table: control characters, lone surrogates and U+FFFD are not allowed in a name")
    return table


def stream_name(table: str) -> str:
    """A canonical table name as SQL spells it: a case-sensitive one keeps its double quotes."""
    return table if table == table.lower() else f'"{table}"'


@dataclass(frozen=True)
class Address:
    """Where a connector is found: (tenant, pipeline, canonical table, connector name). Its ids are computed once."""

    tenant: UUID
    pipeline: str
    table: str
    connector: str

    @classmethod
    @lru_cache(maxsize=20_000)  # clients poll the same ones all the time
    def parse(cls, tenant: UUID, pipeline: str, table: str, connector: str) -> "Address":
        """The address that path segments spell; raises InvalidParam naming the segment."""
        return cls(tenant, pipeline_name(pipeline), canonical_table(table), connector_name(connector))

    @cached_property
    def pipeline_id(self) -> UUID:
        """The id of the connector's pipeline."""
        return pipeline_id(self.tenant, self.pipeline)

    @cached_property
    def id(self) -> UUID:
        """The connector's id (design §3). NUL parts the names, which cannot hold it, so no two addresses share one."""
        return uuid5(self.tenant, f"{self.pipeline}\0{self.table}\0{self.connector}")

    @property
    def endpoint(self) -> str:
        """The dialect's endpoint name, ``table.connector``: for people, ambiguous once a table has dots."""
        return f"{self.table}.{self.connector}"
