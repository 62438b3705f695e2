"""Query parameters of lists: every one is known and well-formed, or refused by its name.

A misspelt filter must not silently show everything.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from werkzeug.datastructures import MultiDict

from app.api import examples
from app.domain.errors import InvalidParam

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100

T = TypeVar("T")
Read = Callable[[list[str]], Any]
"""Reads a parameter, of the values that it was given; raises ValueError, which tells what it must be."""

_LIMIT = re.compile(r"[1-9]\d{0,3}", re.ASCII)


def read(arguments: MultiDict[str, str], parameters: Mapping[str, Read]) -> dict[str, Any]:
    """The parameters that were given, each as it is read. Raises InvalidParam, which names the parameter."""
    for name in arguments:
        if name not in parameters:
            raise InvalidParam(f"{name[:100]}: there is no such parameter, only {', '.join(parameters)}")
    return {name: _read(name, parameters[name], arguments.getlist(name)) for name in arguments}


def choices(values: tuple[str, ...]) -> Read:
    """Reads a parameter that may be repeated, each time with one of these values."""

    def read(given: list[str]) -> tuple[str, ...]:
        if not set(given) <= set(values):
            raise ValueError(f"must be one of {', '.join(values)}; repeat the parameter for several")
        return tuple(sorted(set(given)))

    return read


def one(pattern: re.Pattern[str], convert: Callable[[str], T], must_be: str) -> Callable[[list[str]], T]:
    """Reads a parameter that is given once."""

    def read(given: list[str]) -> T:
        if len(given) != 1 or not pattern.fullmatch(given[0]):
            raise ValueError(must_be)
        return convert(given[0])

    return read


def _read(name: str, reads: Read, values: list[str]) -> Any:
    try:
        return reads(values)
    except ValueError as error:
        raise InvalidParam(f"{name}: {error}") from None


def _limit(text: str) -> int:
    if int(text) > MAX_LIMIT:
        raise ValueError(_MUST_BE)
    return int(text)


_MUST_BE = f"must be an integer from 1 to {MAX_LIMIT}"
LIMIT: Read = one(_LIMIT, _limit, _MUST_BE)
"""Reads how many a page may have."""

BAD_LIMIT = InvalidParam(f"limit: {_MUST_BE}")


def limit_parameter(things: str) -> dict[str, Any]:
    """The parameter ``limit`` in the OpenAPI document, of a list of these things."""
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    return examples.parameter("limit", "query", f"The most {things} of a page.", DEFAULT_LIMIT, schema)
