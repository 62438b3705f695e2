"""Places of transitions, and the ids of a stream's events."""

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.connector import EventKind
from app.domain.errors import InvalidParam
from app.domain.event_order import BEGINNING, DIGEST_BYTES, Cursor, EventPlace

QUERY = b"q" * DIGEST_BYTES
LARGEST = 2**63 - 1

numbers = st.integers(0, LARGEST)
kinds = st.sampled_from(["", *(kind.value for kind in EventKind)])
places = st.builds(EventPlace, numbers, st.uuids(), numbers, kinds)
cursors = st.builds(
    lambda place, made_at, told: Cursor(query=QUERY, made_at=made_at, place=place, told=told),
    places,
    numbers,
    st.integers(0, 2**100 - 1),
)


@given(cursors)
def test_a_cursor_is_read_back_and_safe_in_a_url_and_in_a_line(cursor: Cursor) -> None:
    text = str(cursor)
    assert Cursor.parse(text, QUERY) == cursor
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


@given(cursors, st.data())
def test_a_changed_id_is_refused_or_another_cursor(cursor: Cursor, data: st.DataObject) -> None:
    """Each cursor has one spelling, and each spelling is within what the database can hold."""
    text = str(cursor)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters()) + text[place + 1 :]
    try:
        parsed = Cursor.parse(changed, QUERY)
    except InvalidParam:
        return
    assert str(parsed) == changed
    assert max(parsed.place.xid, parsed.place.version) <= LARGEST


@pytest.mark.parametrize(
    "text",
    ["", "x", "é", "AAAA", "=", "a b", "1" * 10_000, base64.urlsafe_b64encode(bytes([1]) + bytes(49)).decode() + "=="],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidParam, match="not the id of an event"):
        Cursor.parse(text, bytes(DIGEST_BYTES))


@pytest.mark.parametrize(
    ("offset", "byte"),
    [(0, 2), (17, 0x80), (41, 0x80), (49, len(EventKind) + 1)],
    ids=["version", "xid", "of it", "kind"],
)
def test_an_id_of_what_cannot_be_is_refused(offset: int, byte: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(str(Cursor(query=QUERY, made_at=1, place=BEGINNING)) + "=="))
    raw[offset] = byte
    with pytest.raises(InvalidParam, match="not the id of an event"):
        Cursor.parse(base64.urlsafe_b64encode(raw).decode().rstrip("="), QUERY)


def test_an_id_of_another_query_is_refused() -> None:
    text = str(Cursor(query=QUERY, made_at=1, place=BEGINNING))
    with pytest.raises(InvalidParam, match="of another query"):
        Cursor.parse(text, b"Q" * DIGEST_BYTES)


@given(numbers.filter(bool), st.uuids(), numbers, kinds)
def test_transitions_are_behind_the_beginning(xid: int, connector: UUID, version: int, kind: str) -> None:
    assert BEGINNING < EventPlace(xid, connector, version, kind) < EventPlace(xid + 1, UUID(int=0), 0, "")
