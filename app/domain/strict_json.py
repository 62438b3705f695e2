"""JSON in one strict way (RFC 8259, and RFC 7493 for its limits): every reader of the bytes sees the same value."""

import json
import math
from typing import Any, NoReturn


def decode(raw: bytes, *, max_depth: int) -> Any:
    """The value; raises ValueError for what is not strict JSON in UTF-8.

    Refused are NaN and Infinity, a number that Python cannot hold, a member twice, NUL, a lone surrogate, and more
    than ``max_depth`` arrays and objects within each other.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    _check(value, max_depth)
    return value


def decode_object(raw: bytes, *, max_depth: int) -> dict[str, Any]:
    """The same, of an object only."""
    value = decode(raw, max_depth=max_depth)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a member twice")
    return members


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode()  # what cannot be encoded is a lone surrogate
        if "\0" in value:
            raise ValueError("a text holds a NUL")
    elif isinstance(value, list | dict):
        if depth == 0:
            raise ValueError("nested too deep")
        for item in value if isinstance(value, list) else (*value, *value.values()):
            _check(item, depth - 1)
