"""A request's query string: only parameters that its operation documents, each once unless it is a list.

A misspelt parameter must not silently do nothing, and of two values none may silently win.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from flask import Request

from app.domain.errors import InvalidParam

_MAX_SHOWN = 100  # characters of a name

Parameters = Mapping[str, bool]
"""Whether each parameter of a query, by its name, may be given several times."""


def documented(parameters: Iterable[Mapping[str, Any]]) -> Parameters:
    """Those of an operation's documented parameters that are the query's."""
    return {each["name"]: each["schema"].get("type") == "array" for each in parameters if each["in"] == "query"}


def check(request: Request, known: Parameters) -> None:
    """Raises InvalidParam for a parameter of the request that is not known, or given twice and no list."""
    try:
        given = request.args
    except UnicodeDecodeError:  # bytes as they are, which a client should have percent-encoded
        raise InvalidParam("the query is not UTF-8") from None
    for name, values in given.lists():
        if name not in known:
            but = f", only {', '.join(known)}" if known else ""
            raise InvalidParam(f"{name[:_MAX_SHOWN]}: there is no such parameter{but}")
        if len(values) > 1 and not known[name]:
            raise InvalidParam(f"{name}: is given {len(values)} times; give it once")
