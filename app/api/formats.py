"""Answers that are many of a kind, in the format that the client accepts: one JSON document, lines of JSON, or CSV.

Lines are made as the client reads them. Whatever they are made from has to hold no database connection meanwhile.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from flask import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable

from app.api.errors import http_members
from app.api.stats_json import dump
from app.lean import LeanResponse as Response

JSON, LINES, CSV = "application/json", "application/x-ndjson", "text/csv"
_BLOCK = 64 * 1024  # bytes, about: so much is sent at a time

Row = Mapping[str, Any]

_REFUSAL = f"There is {JSON}, {LINES} and {CSV}"
NOT_ACCEPTABLE: dict[str, Any] = {
    "description": "NotAcceptable",
    "examples": {"NotAcceptable": {"value": http_members(NotAcceptable(_REFUSAL))}},
}
"""What `accepted` raises, for the documentation."""


def accepted() -> str:
    """The best of the three types for the client, JSON where it does not mind; raises NotAcceptable.

    Parameters, as in `text/csv; charset=utf-8`, ask for what is there: there is one spelling of each type.
    """
    if not request.headers.get("Accept"):
        return JSON
    types = MIMEAccept([(each.partition(";")[0].rstrip(), quality) for each, quality in request.accept_mimetypes])
    best = types.best_match([JSON, LINES, CSV])
    if best is None:
        raise NotAcceptable(_REFUSAL)
    return best


def documented(columns: Sequence[str]) -> dict[int, Any]:
    """The answers that are lines, for the documentation."""
    text = {"type": "string"}
    lines = dump(dict.fromkeys(columns)).decode()
    return {
        200: {
            "content": {
                CSV: {"schema": text, "example": _line(columns).decode()},
                LINES: {"schema": text, "example": lines},
            }
        }
    }


def answer(columns: Sequence[str], rows: Iterable[Row], document: Callable[[], Any]) -> Response:
    """The rows as lines, if that is what the client accepts, or else the document."""
    kind = accepted()
    if kind == JSON:
        return Response(dump(document()), headers=[("Content-Type", JSON), ("Vary", "Accept")])
    lines = _csv(columns, rows) if kind == CSV else map(dump, rows)
    content_type = f"{CSV}; charset=utf-8; header=present" if kind == CSV else LINES
    return Response(_blocks(lines), headers=[("Content-Type", content_type), ("Vary", "Accept")])


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """RFC 4180, with a line of the columns' names; what is null is empty, what is not flat is JSON."""
    yield _line(columns)
    for row in rows:
        yield _line([_cell(row.get(name)) for name in columns])


def _line(cells: Sequence[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool | dict | list):
        return dump(value).decode().rstrip()
    return value


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    block = bytearray()
    for line in lines:
        block += line
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)
