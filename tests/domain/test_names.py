import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidParam
from app.domain.names import Address, canonical_table, connector_name, pipeline_name, stream_name, tenant_id

TENANT = tenant_id("default")


@pytest.mark.parametrize(
    ("spelt", "canonical"),
    [
        ("numbers1", "numbers1"),
        ("Numbers1", "numbers1"),
        ('"numbers1"', "numbers1"),
        ('"Numbers1"', "Numbers1"),
        ('"a.b/c +d"', "a.b/c +d"),
        ('a"b', 'a"b'),
        ('"', '"'),
        ('""""', '""'),
    ],
)
def test_canonical_table(spelt: str, canonical: str) -> None:
    assert canonical_table(spelt) == canonical


@pytest.mark.parametrize("name", ["", '""', "a\0b", "a\nb", "\x7f", "\x85", chr(0xD800), "\ufffd", "x" * 256])
def test_a_table_name_that_could_alias_is_refused(name: str) -> None:
    with pytest.raises(InvalidParam, match="table"):
        canonical_table(name)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffd"), min_size=1, max_size=100))
def test_a_stream_name_names_its_table(name: str) -> None:
    table = canonical_table(f'"{name}"')
    assert stream_name(table) in (table, f'"{table}"')
    if not (table.startswith('"') and table.endswith('"')):
        assert canonical_table(stream_name(table)) == table


@pytest.mark.parametrize("name", ["", "a b", "é", "a/b", "x" * 64, "a\n"])
def test_pipeline_names_refused(name: str) -> None:
    with pytest.raises(InvalidParam, match="pipeline"):
        pipeline_name(name)


@pytest.mark.parametrize("name", ["", "a b", "é", "a/b", "x" * 256, "a\n"])
def test_connector_names_refused(name: str) -> None:
    with pytest.raises(InvalidParam, match="connector"):
        connector_name(name)


parts = st.sampled_from(["a", "b", "a.b", "A"])


@given(st.tuples(parts, parts, parts), st.tuples(parts, parts, parts))
def test_two_addresses_share_an_id_only_when_they_are_one(one: tuple[str, str, str], two: tuple[str, str, str]) -> None:
    assert (Address(TENANT, *one).id == Address(TENANT, *two).id) == (one == two)


def test_tenants_do_not_collide() -> None:
    assert Address(TENANT, "p", "t", "c").id != Address(tenant_id("other"), "p", "t", "c").id


def test_ids_never_change() -> None:
    """They are in tokens and in databases: a new spelling would lose them all."""
    assert uuid.UUID("b7e249f9-38b3-5326-b5be-e85092ab82ba") == TENANT
    assert Address(TENANT, "demo", "orders", "billing").id == uuid.UUID("6735123f-c78d-5ea5-9677-c9f4bcc65a14")
    assert Address(TENANT, "demo", "orders", "billing").pipeline_id == uuid.UUID("da98c808-4638-57b9-bffe-4dd773f20b7d")
