"""Explaining completion tokens: why one is not done yet, and when one was."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from app.domain import explanation
from app.domain.errors import UnknownCompletionToken
from app.domain.explanation import Explanation
from app.domain.token import TokenId, check_age
from app.store import tokens


def explain(connection: Connection, token: TokenId, *, tenant: UUID | None, retention: timedelta) -> Explanation:
    """The token's explanation, if it is the tenant's; None stands for whatever tenant, for an operator.

    Raises CompletionTokenExpired and UnknownCompletionToken, as `app.services.check` does; what has become of a token
    that is lost otherwise is explained.
    """
    now, known = tokens.describe(connection, token, tenant)
    check_age(token, now, retention)
    if known is None:
        raise UnknownCompletionToken
    return explanation.explain(token, known)
