"""Schemathesis over the OpenAPI document: requests that the document allows, and some that it does not, of all kinds.

The document is the application's own, so an operation that is added is asked from then on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from tests.fuzz.application import Subject
from tests.fuzz.links import linked

PHASES = ("examples", "coverage", "fuzzing", "stateful")

_CONFIG: dict[str, Any] = {
    "continue-on-failure": True,
    "cache": {"enabled": False},
    # A credential that is none has a target of its own; without it, more requests get past the door.
    "generation": {"database": "none", "no-shrink": True, "with-security-parameters": False},
    "checks": {
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", 503]},  # that is judged by `unavailable`
        # What is valid may still contradict what is recorded, or be a token that nobody was given.
        "positive_data_acceptance": {"enabled": False},
        # It fails itself on a WSGI application. tests/api/test_access.py asks the same of every route.
        "ignored_auth": {"enabled": False},
    },
    "phases": {
        "coverage": {"generate-duplicate-query-parameters": True},
        "stateful": {"inference": {"algorithms": []}},  # see tests/fuzz/links.py
    },
    # Each report of a batch is refused for itself, and the batch is accepted.
    "operations": [
        {"include-operation-id": "post_reports", "checks": {"negative_data_rejection": {"enabled": False}}},
    ],
    # So that requests meet: often the same few names, and versions that may be the current ones.
    "dictionaries": {
        "pipelines": {"values": ["demo", "p"]},
        "tables": {"values": ["orders", "Orders", '"Orders"']},
        "connectors": {"values": ["billing", "audit", "c"]},
        "versions": {"values": [f'"{version}"' for version in (0, 0, 1, 2, 3)]},
    },
}
_OFTEN = {
    "path.pipeline": "pipelines",
    "path.table": "tables",
    "path.connector": "connectors",
    "header.If-Match": "versions",
    "path.token": "tokens",
    "query.token": "tokens",
}


@dataclass(frozen=True)
class Finding:
    """An answer that is wrong."""

    check: str
    operation: str  # by its id
    message: str
    request: str  # as a curl command
    answer: str

    def __str__(self) -> str:
        return f"{self.check}: {self.operation}\n{self.message}\n{self.request}\n{self.answer}"


@schemathesis.check
def unavailable(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> bool | None:
    """Nothing is unavailable here but a pipeline that is recorded as stopped."""
    if response.status_code == 503:
        assert response.json()["error_code"] == "PipelineInteractionNotDeployed", response.text
    return None


def explore(
    subject: Subject,
    credential: str,
    *,
    seed: int,
    examples: int,
    phases: tuple[str, ...] = PHASES,
    only: Sequence[str] = (),
) -> list[Finding]:
    """Asks with the credential, so many examples of each operation, or ``only`` of those with these ids.

    Answers the first finding of each sort.
    """
    config = SchemathesisConfig.from_dict(_configuration(subject, credential, seed, examples, phases))
    written = _document(subject, only)
    document = schemathesis.openapi.from_dict(written, config=config)
    document.app = subject.app
    ids = _ids(written)
    found: dict[tuple[str, ...], Finding] = {}
    for event in from_schema(document).execute():
        if isinstance(event, events.ScenarioFinished):
            for sort, finding in _findings(event.recorder, ids):
                found.setdefault(sort, finding)
        elif isinstance(event, events.NonFatalError):
            raise RuntimeError(f"{event.label}: {event.info.format()}") from event.value
        elif isinstance(event, events.FatalError):
            raise event.exception
    return list(found.values())


def _document(subject: Subject, only: Sequence[str]) -> dict[str, Any]:
    document = subject.app.test_client().get("/openapi.json").get_json()
    for path in document["paths"].values() if only else ():
        for method in [each for each in path if path[each] and "operationId" in path[each]]:
            if path[method]["operationId"] not in only:
                del path[method]
    return linked(document)


def _ids(document: dict[str, Any]) -> dict[str, str]:
    """The operations' ids, by what Schemathesis calls them."""
    return {
        f"{method.upper()} {path}": operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if "operationId" in operation
    }


def _configuration(
    subject: Subject, credential: str, seed: int, examples: int, phases: tuple[str, ...]
) -> dict[str, Any]:
    enabled = {phase: {"enabled": phase in phases} for phase in PHASES}
    return _CONFIG | {
        "seed": seed,
        "headers": subject.headers(credential),
        "generation": _CONFIG["generation"] | {"max-examples": examples},
        "phases": {phase: enabled[phase] | _CONFIG["phases"].get(phase, {}) for phase in PHASES},
        "dictionaries": _CONFIG["dictionaries"] | {"tokens": {"values": subject.tokens}},
        "parameters": {place: {"dictionary": name, "probability": 0.7} for place, name in _OFTEN.items()},
    }


def _findings(recorder: ScenarioRecorder, ids: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], Finding]]:
    for case_id, checks in recorder.checks.items():
        for check, info in [(each, each.failure_info) for each in checks if each.failure_info]:
            failure = info.failure
            interaction = recorder.interactions.get(case_id)
            answer = interaction.response if interaction else None
            finding = Finding(
                check.name,
                ids[str(failure.operation)],
                str(failure.message),
                info.code_sample or "",
                f"{answer.status_code} {answer.content[:500]!r}" if answer else "no answer",
            )
            yield (check.name, finding.operation, failure._unique_key), finding
