"""What the server's answers say, by the names that `Call` has for it."""

from typing import Any

import requests

_UNKNOWN_TOKEN = "UnknownCompletionToken"


def told(answer: requests.Response | None) -> dict[str, Any]:
    """What a whole answer says; nothing, if there was none."""
    if answer is None:
        return {}
    said: dict[str, Any] = {"status": answer.status_code}
    if answer.status_code >= 500:
        return said
    body = answer.json() if answer.content else {}
    if answer.status_code >= 400:
        return said | {"code": body["error_code"], "version": (body["details"] or {}).get("current_version")}
    if "status" in body:
        said["complete"] = body["status"] == "complete"
    if "token" in body:
        said["token"] = body["token"]
    if etag := answer.headers.get("ETag"):
        said["version"] = int(etag.strip('"'))
    return said


def told_item(item: dict[str, Any]) -> dict[str, Any]:
    """What one result of a batch of reports says."""
    said = {"status": item["status"], "code": item.get("error_code"), "version": item.get("version")}
    if item["status"] == 412:
        said["version"] = item["details"]["current_version"]
    return said


def told_token(item: dict[str, Any]) -> dict[str, Any]:
    """What is said of one of several tokens, with the status that it would have had alone."""
    if item["status"] == "failed":
        code = item["error_code"]
        return {"status": 404 if code == _UNKNOWN_TOKEN else 410, "code": code}
    complete = item["status"] == "complete"
    return {"status": 200 if complete else 202, "complete": complete}
