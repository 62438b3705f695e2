"""The page that shows the OpenAPI document, and what a browser may do with it."""

import re
from base64 import b64encode
from hashlib import sha256

from flask import Blueprint, Response
from flask_swagger_ui import get_swaggerui_blueprint

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def docs() -> Blueprint:
    """Swagger UI, from this server alone."""
    # Given a redirect URL, or it would put the request's Host header into the page.
    settings = {"app_name": "Tidemark", "oauth2RedirectUrl": "/docs/oauth2-redirect.html"}
    blueprint: Blueprint = get_swaggerui_blueprint("/docs", "/openapi.json", settings, blueprint_name="docs")
    blueprint.after_request(_confine)
    return blueprint


def _confine(response: Response) -> Response:
    """What the page needs and nothing else: its own files, its own script within it, and to ask this server.

    Swagger UI sets styles as attributes, and its icons are `data:` URLs.
    """
    if response.mimetype != "text/html":
        return response
    response.direct_passthrough = False
    scripts = "".join(f" 'sha256-{_digest(script)}'" for script in _INLINE_SCRIPT.findall(response.get_data()))
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response


def _digest(script: bytes) -> str:
    return b64encode(sha256(script).digest()).decode()
