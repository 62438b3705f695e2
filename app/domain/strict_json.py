"""JSON, read in one strict way: what two readers could understand differently, or could not keep, is refused.

bytes → UTF-8 → JSON (RFC 8259) → depth → text. Beyond RFC 8259 it holds to I-JSON (RFC 7493): no member twice, no lone
surrogate, no number that is rounded. Postgres, which takes no NUL in a text, asks for the rest.
"""

import json
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NoReturn

MAX_DEPTH = 32
MAX_DIGITS = 767  # of a number with a fraction or an exponent: no double has more

_EXACT = 16  # characters of a plain decimal: that many digits, and a point, every double keeps
_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # how a NUL, or a half of a character, has to be spelt
_MAX_PLACE = 100  # characters


class NotStrictJson(ValueError):
    """Bytes that are no JSON, or not strict. The message says of them what is wrong, as in "is not UTF-8"."""

    def __init__(self, message: str, place: str = "") -> None:
        """``place`` is the way to the value at fault, in ASCII, where one is known."""
        super().__init__(message)
        self.place = place


def decode(raw: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value that the bytes spell, with no more than ``max_depth`` arrays and objects within each other.

    Raises NotStrictJson.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrictJson("is not UTF-8") from None
    try:
        value = _parse(text)
    except RecursionError:
        raise NotStrictJson(f"is nested more than {max_depth} deep") from None
    if depth_exceeds(value, max_depth):
        raise NotStrictJson(f"is nested more than {max_depth} deep")
    if _SUSPECT.search(text) and (place := _bad_text(value)) is not None:
        raise NotStrictJson("holds a NUL or a lone surrogate, which no text may", _shown(place))
    return value


def decode_object(raw: bytes, *, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The same, of an object only."""
    value = decode(raw, max_depth=max_depth)
    if not isinstance(value, dict):
        raise NotStrictJson("is not an object")
    return value


def depth_exceeds(value: Any, most: int) -> bool:
    """Whether arrays and objects are nested deeper than ``most`` in a value; level by level, so nothing recurses."""
    level = [value] if type(value) in (dict, list) else []
    for _ in range(most):
        members: Iterable[Iterable[Any]] = [each.values() if type(each) is dict else each for each in level]
        level = [each for inside in members for each in inside if type(each) is dict or type(each) is list]
        if not level:
            return False
    return bool(level)


def _parse(text: str) -> Any:
    try:
        return _decode(text)
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except NotStrictJson:
        raise
    except ValueError:  # Python's own limit, of some thousand digits
        raise NotStrictJson("is not acceptable: an integer has too many digits") from None


def _refuse_constant(name: str) -> NoReturn:
    raise NotStrictJson(f"is not acceptable: {name} is not a JSON number")


def _number(text: str) -> float:
    """The double, unless that would be another number: it must come out again in as many digits as it was given in."""
    number = float(text)
    if len(text) <= _EXACT and "e" not in text and "E" not in text:
        return number
    if not math.isfinite(number):
        raise NotStrictJson("is not acceptable: a number is too large")
    digits = text.lower().partition("e")[0].lstrip("-0.").replace(".", "")
    if len(digits) > MAX_DIGITS or not _kept(number, text, digits):
        raise NotStrictJson("is not acceptable: a number has more digits than are kept of it")
    return number


def _kept(number: float, text: str, digits: str) -> bool:
    if number == 0 or not digits:
        return number == 0 and not digits
    # The shortest way to write it is not always the nearest of so few digits: of two, there may be either.
    return Decimal(text) in (Decimal(repr(number)), Decimal(f"{number:.{len(digits) - 1}e}"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJson("is not acceptable: an object has a member twice")
    return members


_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_number, object_pairs_hook=_object).decode


def _bad_text(value: Any) -> list[str] | None:
    """The way to a text with a NUL or a lone surrogate in a value, or to the name of a member; None: there is none."""
    if isinstance(value, str):
        return [] if _is_bad(value) else None
    if not isinstance(value, list | dict):
        return None
    for name, member in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(name, str) and _is_bad(name):
            return []
        if (place := _bad_text(member)) is not None:
            return [str(name), *place]
    return None


def _is_bad(text: str) -> bool:
    try:
        text.encode()  # what cannot be encoded is a lone surrogate
    except UnicodeEncodeError:
        return True
    return "\0" in text


def _shown(place: list[str]) -> str:
    return ascii(".".join(place)[:_MAX_PLACE])[1:-1]
