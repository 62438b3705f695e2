"""Issuing completion tokens (design §2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from app.domain.errors import TidemarkError
from app.domain.names import Address
from app.domain.token import TokenId
from app.store import tokens
from app.store.tokens import Wanted

_MOST_HINTS = 10_000  # remembered connectors; forgetting them costs a superfluous notification each


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """On which connector a token is asked for, and by whom."""

    address: Address
    by: str


class Issuer:
    """Issues tokens, and tells the collectors of a connector's first token at each of its versions.

    One of it serves a process and all its threads: what they race for is at worst a superfluous notification.
    """

    def __init__(self) -> None:
        self._hinted: dict[UUID, int] = {}

    def issue(self, connection: Connection, requests: Sequence[IssueRequest]) -> list[TokenId | TidemarkError]:
        """New tokens, in the order asked for, durable when the statement has committed.

        UnknownPipelineName, UnknownInputEndpoint, PipelineInteractionNotDeployed or NoStreamPosition stands for one
        that could not be issued.
        """
        hinted = self._hinted
        wanted = [Wanted(each.address, each.by, hinted.get(each.address.id, 0)) for each in requests]
        outcomes = tokens.issue(connection, wanted)
        if len(hinted) >= _MOST_HINTS:
            hinted.clear()
        for outcome in outcomes:
            if isinstance(outcome, tokens.Issued):
                hinted[outcome.token.connector_id] = outcome.version
        return [outcome.token if isinstance(outcome, tokens.Issued) else outcome for outcome in outcomes]
