"""What somebody who follows events is to be told."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2s
from uuid import UUID

from app.domain.errors import InvalidParam
from app.domain.event_order import DIGEST_BYTES, Cursor


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """To what becomes of tokens, and to transitions: of all of the tenant's connectors, or of those named so."""

    tenant: UUID
    tokens: tuple[str, ...] = ()  # all different
    transitions: bool = True
    pipeline: str | None = None
    table: str | None = None  # canonical
    connector: str | None = None

    @cached_property
    def digest(self) -> bytes:
        """By which the ids of its events are told from another's. No name and no token holds a NUL."""
        names = (self.pipeline or "", self.table or "", self.connector or "", *self.tokens)
        text = "\0".join((str(self.tenant), str(self.transitions), *names))
        return blake2s(text.encode(), digest_size=DIGEST_BYTES).digest()

    def cursor(self, text: str) -> Cursor:
        """The one that the id of an event of this subscription spells; raises InvalidParam for anything else."""
        cursor = Cursor.parse(text, self.digest)
        if cursor.told >> len(self.tokens):
            raise InvalidParam("last_event_id: not the id of an event")
        return cursor

    def covers(self, pipeline: str, table: str, connector: str) -> bool:
        """Whether it is to a transition of this connector."""
        wanted = ((self.pipeline, pipeline), (self.table, table), (self.connector, connector))
        return all(name is None or name == given for name, given in wanted)

    def is_over(self, told: int) -> bool:
        """Whether nothing is left to tell, once these tokens have been told of, as bits."""
        return not self.transitions and told == (1 << len(self.tokens)) - 1
