"""Issuing completion tokens (design §2)."""

from uuid import UUID

from sqlalchemy import Connection

from app.domain.names import Address
from app.domain.token import TokenId
from app.store import tokens

_MOST_HINTS = 10_000  # remembered connectors; forgetting them costs a superfluous notification each


class Issuer:
    """Issues tokens, and tells the collectors of a connector's first token at each of its versions.

    One of it serves a process and all its threads: what they race for is at worst a superfluous notification.
    """

    def __init__(self) -> None:
        self._hinted: dict[UUID, int] = {}

    def issue(self, connection: Connection, address: Address, *, issued_by: str) -> TokenId:
        """A new token on the connector, durable when the statement has committed.

        Raises UnknownPipelineName, UnknownInputEndpoint, PipelineInteractionNotDeployed and NoStreamPosition.
        """
        issued = tokens.issue(connection, address, issued_by=issued_by, hinted_version=self._hinted.get(address.id, 0))
        if len(self._hinted) >= _MOST_HINTS:
            self._hinted.clear()
        self._hinted[address.id] = issued.version
        return issued.token
