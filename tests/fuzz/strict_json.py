"""Atheris on the JSON reader: of any bytes, it reads what was written or refuses. See `make fuzz-nightly`."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn

import atheris

with atheris.instrument_imports(include=["app.domain"]):
    from app.domain.strict_json import MAX_DEPTH, NotStrictJson, decode, depth_exceeds

import json

_FRAGMENTS = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b'"a"',
        b'"b":',
        b'{"a":1',
        b',"a":1',
        b'"\\u0061"',
        b'"\\u0000"',
        b'"\\ud800"',
    ),
    *(b'"\\ud83d\\ude86"', b"\\", b"\\u", b"0", b"1", b"-", b".", b"e", b"E+", b"9" * 17, b"9" * 400, b"0.1", b"1e308"),
    *(b"1e-320", b"null", b"true", b"NaN", b"Infinity", b" ", b"\n", b"\x00", b"\xff", b"\xed\xa0\x80", b"[" * 20),
    *(b"]" * 20, b"\xef\xbb\xbf", b"\xf0\x9f\x9a\x86"),
)


def test_one_input(raw: bytes) -> None:
    """The bytes themselves, and the JSON that each of them is taken for a part of."""
    judge(raw)
    judge(b"".join(_FRAGMENTS[byte % len(_FRAGMENTS)] for byte in raw))


def judge(raw: bytes) -> None:
    """Raises what the reader must not, and AssertionError where it read what it had to refuse."""
    try:
        value = decode(raw)
    except NotStrictJson:
        return
    plain = json.loads(
        raw.decode(), parse_constant=_not_json, parse_float=_as_many_digits, object_pairs_hook=_without_repetition
    )
    assert value == plain, "another value than a plain reader gives"
    assert not depth_exceeds(value, MAX_DEPTH)
    assert not any("\0" in text for text in _texts(value)), "a NUL"
    written = json.dumps(value, ensure_ascii=False).encode()  # which fails for half a character
    assert decode(written) == value, "another value once it is written and read again"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for member in value.items() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _texts(member)


def _not_json(name: str) -> NoReturn:
    raise AssertionError(name)


def _as_many_digits(text: str) -> float:
    number = float(text)
    digits = len(text.lower().partition("e")[0].lstrip("-0.").replace(".", ""))
    if number == 0 or digits == 0:
        assert number == digits == 0, f"{text} is not kept"
    else:
        error = abs(Decimal(number) - Decimal(text))
        assert error <= abs(Decimal(text)) * Decimal(10) ** (1 - digits), f"{text} is not kept"
    return number


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), "a member twice"
    return dict(pairs)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
