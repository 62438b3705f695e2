"""The short run of Schemathesis, always of the same requests, and whether it finds what is planted."""

from collections.abc import Iterator, Sequence

import pytest

from app.domain.roles import Role
from tests.fuzz.application import CREDENTIALS, Subject, subject
from tests.fuzz.defects import API_KEYS, OF_ONE_REQUEST, OF_SEVERAL_REQUESTS, Defect, planted
from tests.fuzz.openapi import PHASES, explore

SEED = 20260131


@pytest.fixture
def fuzzed(clone: str) -> Iterator[Subject]:
    """The application on a database of its own."""
    with subject(clone) as made:
        yield made


def test_nothing_is_found(fuzzed: Subject) -> None:
    for credential in CREDENTIALS:
        phases = PHASES if credential == Role.ADMIN.value else ("examples", "stateful")
        before = fuzzed.requests
        findings = explore(fuzzed, credential, seed=SEED, examples=3, phases=phases)
        assert findings == [], "\n\n".join(map(str, findings))
        assert fuzzed.requests > before + (1000 if "coverage" in phases else 20)


def test_defects_that_one_request_shows_are_found(fuzzed: Subject) -> None:
    operations = [defect.operation for defect in OF_ONE_REQUEST]
    assert_found(fuzzed, OF_ONE_REQUEST, ("examples", "coverage"), operations)


@pytest.mark.parametrize("defect", OF_SEVERAL_REQUESTS)
def test_a_defect_that_only_several_requests_show_is_found(fuzzed: Subject, defect: Defect) -> None:
    assert_found(fuzzed, [defect], ("stateful",), API_KEYS)


def assert_found(
    fuzzed: Subject, defects: Sequence[Defect], phases: tuple[str, ...], operations: Sequence[str]
) -> None:
    with planted(fuzzed.app, defects):
        findings = explore(fuzzed, Role.ADMIN.value, seed=SEED, examples=10, phases=phases, only=operations)
    found = {(finding.check, finding.operation) for finding in findings}
    assert {(defect.check, defect.operation) for defect in defects} <= found, "\n\n".join(map(str, findings))
