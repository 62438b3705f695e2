from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.status import MAX_ERROR_MESSAGE, cut_message, format_time, parse_time, stale_for

START = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_format_and_parse_are_inverse(instant: datetime) -> None:
    text = format_time(instant)
    assert len(text) == len("2026-01-31T12:00:00.000000Z")
    assert parse_time(text) == instant


def test_any_zone_is_written_in_utc() -> None:
    assert format_time(START.astimezone(timezone(timedelta(hours=5)))) == "2026-01-01T00:00:00.000000Z"
    assert parse_time("2026-01-01T05:00:00+05:00") == START


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "20260101T000000Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-01-01T00:00:00.1234567Z",
        "٢026-01-01T00:00:00Z",
    ],
)
def test_parse_time_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|exists"):
        parse_time(text)


@given(st.text(st.characters(codec="utf-8"), max_size=30).map(lambda text: text * 700))
def test_a_message_is_cut_in_its_middle_to_8_kib(message: str) -> None:
    cut = cut_message(message)
    size = len(message.encode())
    assert len(cut.encode()) <= MAX_ERROR_MESSAGE
    if size <= MAX_ERROR_MESSAGE:
        assert cut == message
    else:
        head, _, tail = cut.partition(" … ")
        assert message.startswith(head)
        assert message.endswith(tail)


def test_a_report_is_stale_after_three_of_its_intervals() -> None:
    assert stale_for(START, 2.0, START + timedelta(seconds=6)) is None
    assert stale_for(START, 2.0, START + timedelta(seconds=6.5)) == 6.5
    assert stale_for(START, None, START + timedelta(days=99)) is None
