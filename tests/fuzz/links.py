"""What leads from one operation to another, added to the OpenAPI document, so that stateful fuzzing follows it."""

import copy
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_METHODS = ("get", "put", "post", "delete")


class _Operation(NamedTuple):
    path: str
    method: str
    document: dict[str, Any]

    @property
    def parameters(self) -> set[str]:
        """Those in its path."""
        return set(re.findall(r"{(\w+)}", self.path))


def linked(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its links.

    An operation leads to all that is about the same things, by the parameters in its path; one that makes a thing of a
    name leads to that; and a token leads to where tokens are asked for.
    """
    document = copy.deepcopy(document)
    operations = list(_operations(document))
    for source in operations:
        links = {
            f"{target.document['operationId']}": {"operationId": target.document["operationId"], "parameters": found}
            for target in operations
            if (found := _leads(source, target))
        }
        for status, response in source.document["responses"].items():
            if links and status.startswith("2"):
                response["links"] = links
    return document


def _operations(document: dict[str, Any]) -> Iterator[_Operation]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield _Operation(path, method, item[method])


def _leads(source: _Operation, target: _Operation) -> dict[str, str]:
    """Where the target's parameters are found; none where it is about something else."""
    known = {f"path.{name}": f"$request.path.{name}" for name in source.parameters & target.parameters}
    if source.method == "post" and target.path == f"{source.path}/{{name}}":
        known["path.name"] = "$request.body#/name"
    if source.document["operationId"] == "issue_completion_token":
        if "token" in target.parameters:
            known["path.token"] = "$response.body#/token"
        elif any(each["name"] == "token" for each in target.document.get("parameters", [])):
            known["query.token"] = "$response.body#/token"
    needed = {f"path.{name}" for name in target.parameters}
    return known if needed <= known.keys() else {}
