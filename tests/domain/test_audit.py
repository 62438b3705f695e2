from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.audit import AuditPlace
from app.domain.errors import InvalidParam

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
times = st.integers(0, 250 * 10**15).map(lambda microseconds: _1970 + timedelta(microseconds=microseconds))
places = st.builds(AuditPlace, times, st.uuids())


@given(places)
def test_a_place_parses_to_itself(place: AuditPlace) -> None:
    assert AuditPlace.parse(str(place)) == place


@given(st.text("AZaz09-_", min_size=32, max_size=32))
def test_a_place_has_one_spelling(text: str) -> None:
    with suppress(InvalidParam):  # of a year that there is not
        assert str(AuditPlace.parse(text)) == text


@pytest.mark.parametrize("text", ["", "ü" * 32, "A" * 31, "A" * 33, "=" * 32, "+" * 32, "_" * 32, "A" * 32 + "\n"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidParam):
        AuditPlace.parse(text)
