"""The JSON reader: what it gives is what was written, or it refuses."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.strict_json import MAX_DEPTH, NotStrictJson, decode, decode_object, depth_exceeds

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
DECIMALS = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True).filter(
    lambda text: set(text) & set(".eE")
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_written_is_read(value: Any, escaped: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    assert decode(text.encode()) == value


@given(DECIMALS)
def test_a_number_is_kept_to_all_its_digits_or_refused(text: str) -> None:
    try:
        number = decode(text.encode())
    except NotStrictJson:
        assert math.isinf(float(text)) or Decimal(float(text)) != Decimal(text), "it is a double"
    else:
        digits = len(text.lower().partition("e")[0].lstrip("-0.").replace(".", "")) or 1
        assert Decimal(text) in (Decimal(f"{number:.{digits - 1}e}"), Decimal(repr(number)))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_read_as_it_is_written(number: float) -> None:
    assert decode(repr(number).encode()) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.1", 0.1),
        ("1.0000000000000000000000", 1.0),
        ("0.10000000000000001", 0.1),  # as C prints it with all the digits that a double may need
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),  # the double itself, to the end
        ("9007199254740992.0", 2.0**53),
        ("1E300", 1e300),
        ("5e-324", 5e-324),
        ("5.960464477539063e-08", 2.0**-24),  # which lies between this and …62, in the middle
        ("4.9e-324", 5e-324),
        ("0e999999999999999999999", 0.0),
        ("0.000000000000000000000000", 0.0),
    ],
)
def test_a_number_that_a_double_keeps_is_read(text: str, number: float) -> None:
    assert decode(text.encode()) == number
    assert decode(f"-{text}".encode()) == -number


@pytest.mark.parametrize(
    "text",
    [
        *("9007199254740993.0", "1234567890123456.7", "0.1000000000000000000000001", "3.14159265358979323846264338"),
        *("1e-400", "1e-99999999999999999999999", "0." + "3" * 1000, "0." + "1" * 100_000),
        *("1e309", "1e99999999999999999999999", "1" * 400 + ".0", "9" * 5000, "NaN", "Infinity", "-Infinity"),
    ],
)
def test_a_number_that_would_be_another_is_refused(text: str) -> None:
    for body in (text, f"-{text}", f'[{{"a": {text}}}]'):
        with pytest.raises(NotStrictJson, match=r"(digits|too large|not a JSON number|not JSON)"):
            decode(body.encode())


@pytest.mark.parametrize("depth", [1, 2, MAX_DEPTH])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_is_allowed_up_to_the_limit(depth: int, opening: str, closing: str) -> None:
    text = opening * depth + "1" + closing * depth
    levels = depth * opening.count("[") + depth * opening.count("{")
    value = json.loads(text)
    assert decode(text.encode(), max_depth=levels) == value
    assert not depth_exceeds(value, levels)
    assert depth_exceeds(value, levels - 1)
    with pytest.raises(NotStrictJson, match=f"nested more than {levels - 1} deep"):
        decode(text.encode(), max_depth=levels - 1)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[1,{"a":2,"b":'])
def test_nesting_without_end_is_refused(opening: str) -> None:
    with pytest.raises(NotStrictJson, match="nested more than 32 deep"):
        decode((opening * 200_000).encode())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (r'"\u0000"', ""),
        (r'{"a": [1, "\ud800"]}', "a.1"),
        (r'{"a": {"\uDFFF": 1}}', "a"),
        (r'{"\u0000": 1}', ""),
        (r'["\udc00\ud800"]', "0"),
        (r'{"Z\u00fc\n": ["\u0000"]}', r"Z\xfc\n.0"),
        ('{"' + "x" * 500 + r'": "\u0000"}', "x" * 100),
    ],
)
def test_a_nul_or_a_lone_surrogate_is_refused_by_its_place(text: str, place: str) -> None:
    with pytest.raises(NotStrictJson, match="NUL or a lone surrogate") as refused:
        decode(text.encode())
    assert refused.value.place == place


@pytest.mark.parametrize(
    ("text", "value"), [(r'"\\u0000"', r"\u0000"), (r'"\ud83d\ude86"', "🚆"), (r'"\\\\ud800"', r"\\ud800")]
)
def test_what_only_looks_like_a_nul_or_a_lone_surrogate_is_read(text: str, value: str) -> None:
    assert decode(text.encode()) == value


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 2, "\\u0061": 3}}]', '{"": 0, "": 0}'])
def test_a_member_twice_is_refused(text: str) -> None:
    with pytest.raises(NotStrictJson, match="a member twice"):
        decode(text.encode())


@pytest.mark.parametrize("raw", [b"\xff", b'"\xed\xa0\x80"', b'"\xc0\x80"', '""'.encode("utf-16")])
def test_what_is_not_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(NotStrictJson, match="is not UTF-8"):
        decode(raw)


@pytest.mark.parametrize(
    "text", ["", " ", "{} {}", "[1,]", "'a'", "\ufeff{}", '"\n"', "01", "1.", "+1", "\xa0[]", "nul"]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(NotStrictJson, match=r"is not JSON: .* at line 1 column"):
        decode(text.encode())


def test_an_object_may_be_asked_for() -> None:
    assert decode_object(b'{"a": 1}') == {"a": 1}
    with pytest.raises(NotStrictJson, match="is not an object"):
        decode_object(b"[]")
