"""JSON in one strict way."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.strict_json import decode, decode_object

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


@given(VALUES, st.booleans())
def test_what_is_written_is_read_as_it_was(value: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert json.dumps(decode(raw, max_depth=20)) == json.dumps(value), "types included"


@given(VALUES, st.integers(0, 6))
def test_what_is_nested_deeper_is_refused_and_nothing_else(value: Any, most: int) -> None:
    raw = json.dumps(value).encode()
    if depth(value) <= most:
        assert decode(raw, max_depth=most) == value
    else:
        with pytest.raises(ValueError, match="deep"):
            decode(raw, max_depth=most)


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4), st.data())
def test_no_member_is_told_twice(members: dict[str, Any], data: st.DataObject) -> None:
    twice = data.draw(st.sampled_from(sorted(members)))
    pairs = data.draw(st.permutations([*members.items(), (twice, None)]))
    spelled = [
        f"{json.dumps(name, ensure_ascii=data.draw(st.booleans()))}: {json.dumps(value)}" for name, value in pairs
    ]
    with pytest.raises(ValueError, match="twice"):
        decode(f"[{{{', '.join(spelled)}}}]".encode(), max_depth=20)


@given(st.binary(max_size=40) | st.text('[]{}",:0123456789.eE+-truefalsn \\u', max_size=40).map(str.encode))
def test_of_any_bytes_it_reads_what_every_reader_reads_or_nothing(raw: bytes) -> None:
    try:
        value = decode(raw, max_depth=20)
    except ValueError:
        return
    assert json.loads(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b" ", b"{", b"nul", b"{}{}", b"'x'", b"[1,]", b"{1: 2}", b"01", b"+1", b".5", b"1.", b"0x1", b"1_000"),
        *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1" * 5000, b'"\t"', b'"\\x41"', b"// c\n1"),
        *(b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf1", "1".encode("utf-16"), "1".encode("utf-32-le")),
        *(b'"\\ud800"', b'"\\udc00\\ud800"', b'{"\\ud800": 1}', b'"\\u0000"', b'{"\\u0000": 1}', b'"\0"'),
        *(b'{"a": 1, "a": 1}', b'{"a": 1, "\\u0061": 1}', b"[" * 100_000, b'{"a":' * 100_000),
    ],
)
def test_what_is_not_strict_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(raw, max_depth=20)


@pytest.mark.parametrize("raw", [b"[]", b'"{}"', b"null", b"1"])
def test_an_object_is_an_object(raw: bytes) -> None:
    assert decode_object(b' {"a": [1]} ', max_depth=2) == {"a": [1]}
    with pytest.raises(ValueError, match="not an object"):
        decode_object(raw, max_depth=2)
