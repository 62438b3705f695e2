import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.api_key import ID_BYTES, SECRET_BYTES, ApiKeyText
from app.domain.errors import AuthenticationFailed

keys = st.builds(
    ApiKeyText.make,
    st.binary(min_size=ID_BYTES, max_size=ID_BYTES),
    st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
)


@given(keys)
def test_a_key_parses_to_itself(key: ApiKeyText) -> None:
    assert ApiKeyText.parse(str(key)) == key


@given(keys, st.integers(0, 79), st.sampled_from("abz27"))
def test_a_mistyped_key_is_refused(key: ApiKeyText, place: int, character: str) -> None:
    text = str(key)
    changed = text[: place + 4] + character + text[place + 5 :]
    if changed != text:
        with pytest.raises(AuthenticationFailed):
            ApiKeyText.parse(changed)


@given(keys)
def test_neither_repr_nor_digest_tells_the_secret(key: ApiKeyText) -> None:
    assert key.secret not in repr(key)
    assert key.secret.encode() not in key.digest
    assert len(key.digest) == 32
