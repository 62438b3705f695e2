"""Who was denied what, noted for the audit."""

from contextlib import suppress

from flask import g, request

from app.api import runtime
from app.api.request_log import client_address
from app.domain.api_key import ApiKeyText
from app.domain.errors import AuthenticationFailed, TidemarkError
from app.domain.roles import Principal
from app.services.tally import Denial


def note(error: TidemarkError) -> None:
    """Notes that the current request was refused with this error; nothing is written now."""
    known: Principal | None = g.get("principal")
    denied = Denial(
        code=error.code,
        method=request.method,
        route=request.url_rule.rule if request.url_rule else None,
        client=client_address(),
        tenant=known.tenant_id if known else None,
        principal=known,
        key_id=_shown(),
    )
    runtime.current().tally.note_denial(denied)


def _shown() -> str | None:
    """The id of the API key that was sent, if it is spelt as one; nothing else of a credential is kept."""
    with suppress(AuthenticationFailed):
        return ApiKeyText.parse(request.headers.get("Authorization", "").rpartition(" ")[2]).id
    return None
