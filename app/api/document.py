"""What the OpenAPI document says of the values that have rules of their own, precisely enough to be tested by it."""

import re
from typing import Any

from app.domain.names import CONNECTOR, MAX_NAME, PIPELINE
from app.domain.position import MAX_COMPONENT_NAME, MAX_COMPONENTS, MAX_OFFSET
from app.domain.token import WIRE

Json = dict[str, Any]

_OFFSET: Json = {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET}
_COMPONENT: Json = {"minLength": 1, "maxLength": MAX_COMPONENT_NAME}
_COMPONENTS: Json = {
    "type": "object",
    "additionalProperties": _OFFSET,
    "propertyNames": _COMPONENT,
    "maxProperties": MAX_COMPONENTS,
}
_NULL: Json = {"type": "null"}

# What `canonical_table` takes, but for lone surrogates, which a regular expression of JSON Schema may not name.
_CHARACTER = r"[^\u0000-\u001f\u007f-\u009f\ufffd]"
_NO_QUOTE = r'[^\u0000-\u001f\u007f-\u009f\ufffd"]'
_QUOTED = f'"{_CHARACTER}{{1,{MAX_NAME}}}"'
_UNQUOTED = f'{_NO_QUOTE}{_CHARACTER}{{0,{MAX_NAME - 1}}}|"({_CHARACTER}{{0,{MAX_NAME - 2}}}{_NO_QUOTE})?'

PIPELINE_NAME: Json = {"type": "string", "pattern": f"^{PIPELINE.pattern}$"}
NAME: Json = {"type": "string", "pattern": f"^{CONNECTOR.pattern}$"}
TABLE: Json = {"type": "string", "pattern": f"^({_QUOTED}|{_UNQUOTED})$"}
TOKEN: Json = {"type": "string", "pattern": f"^{WIRE.pattern}$"}
_IN_PATHS = {"pipeline": PIPELINE_NAME, "table": TABLE, "connector": NAME, "name": NAME, "token": TOKEN}
_EXAMPLES = {"pipeline": "demo", "table": "orders", "connector": "billing"}  # which `tidemark run` has: /docs/ can ask


def position(*, or_null: bool) -> Json:
    """A stream position; one that has to be known names a component at least."""
    return {"oneOf": [_OFFSET, _COMPONENTS, _NULL] if or_null else [_OFFSET, {**_COMPONENTS, "minProperties": 1}]}


def path_parameters(rule: str) -> list[Json]:
    """Those in the path of a route that have rules."""
    named = re.findall(r"<(?:\w+:)?(\w+)>", rule)
    examples = {name: {"example": example} for name, example in _EXAMPLES.items()}
    return [
        {"name": name, "in": "path", "schema": _IN_PATHS[name], **examples.get(name, {})}
        for name in named
        if name in _IN_PATHS
    ]
