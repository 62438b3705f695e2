import contextlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import (
    CompletionTokenExpired,
    InvalidParam,
    PipelineRestarted,
    UnknownEndpointInCompletionToken,
)
from app.domain.token import TokenId, TokenRecord, TokenStatus, check_age, evaluate

_VERSION_7 = (0x7 << 76) | (0x8 << 60)
_VERSION_BITS = (0xF << 76) | (0xC << 60)

uuids = st.uuids()
uuid7s = st.integers(0, 2**128 - 1).map(lambda n: UUID(int=(n & ~_VERSION_BITS) | _VERSION_7))
tokens = st.builds(TokenId, uuids, uuid7s)


@given(tokens)
def test_a_token_is_56_url_safe_characters_and_parses_to_itself(token: TokenId) -> None:
    text = str(token)
    assert len(text) == 56
    assert text.startswith("ct1_")
    assert text.replace("_", "").isalnum()
    assert text == text.lower()
    assert TokenId.parse(text) == token


@given(tokens, st.integers(0, 55), st.characters())
def test_every_other_spelling_is_refused_or_another_token(token: TokenId, place: int, character: str) -> None:
    text = str(token)
    changed = text[:place] + character + text[place + 1 :]
    if changed == text:
        return
    with contextlib.suppress(InvalidParam):
        assert TokenId.parse(changed) != token


@pytest.mark.parametrize("text", ["", "ct1_", "ct2_" + "a" * 52, "CT1_" + "a" * 52, "ct1_" + "a" * 51, "x" * 10_000])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidParam, match="not a completion token"):
        TokenId.parse(text)


def token_of(instant: datetime) -> TokenId:
    return TokenId(UUID(int=0), UUID(int=(int(instant.timestamp() * 1000) << 80) | _VERSION_7))


def test_a_token_expires_at_its_retention() -> None:
    now, retention = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=30)
    check_age(token_of(now - retention), now, retention)
    with pytest.raises(CompletionTokenExpired):
        check_age(token_of(now - retention - timedelta(milliseconds=1)), now, retention)


def test_a_forged_token_of_the_far_future_is_just_young() -> None:
    check_age(TokenId(UUID(int=0), UUID(int=2**128 - 1)), datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=30))


def record(**changes: object) -> TokenRecord:
    values: dict[str, object] = {
        "epoch_number": 1,
        "binding": 5,
        "removed": False,
        "current_epoch_number": 1,
        "completed_version": 4,
        "epoch_ended": False,
    }
    return TokenRecord(**values | changes)  # type: ignore[arg-type]


def test_a_token_is_complete_from_its_binding_on() -> None:
    assert evaluate(record()) is TokenStatus.IN_PROGRESS
    assert evaluate(record(completed_version=5)) is TokenStatus.COMPLETE
    assert evaluate(record(completed_version=6)) is TokenStatus.COMPLETE


def test_a_token_of_an_ended_epoch_is_complete_or_lost_for_ever() -> None:
    assert evaluate(record(epoch_ended=True, completed_version=5)) is TokenStatus.COMPLETE
    with pytest.raises(PipelineRestarted, match=r"epoch 1 .* epoch 3") as lost:
        evaluate(record(epoch_ended=True, current_epoch_number=3))
    assert lost.value.details == {"token_epoch": 1, "current_epoch": 3}


def test_a_removed_connector_answers_for_no_token() -> None:
    with pytest.raises(UnknownEndpointInCompletionToken):
        evaluate(record(removed=True, completed_version=9))
