"""The logs tell what happened, and no secret."""

from pathlib import Path

import requests

from tests.deploy.front import Front
from tests.deploy.upstream import FRESH, STATS, STATUS, Answer, Upstream
from tests.nginx import nginx
from tests.serving import until

KEY = "tmk_0123456789_secretsecretsecret"
TOKEN = "ct1_m42rep6hrvpklftxzh2lzrs2cqa2eadz6txxeyed4ipauluc5hzq"
SECRETS = ("secretsecret", "m42rep6", "referred")


def requests_with_secrets(base: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Referer": "https://referred.example/"}
    for path in (f"{STATUS}{TOKEN}", f"/v0/completion_tokens/{TOKEN}", f"/v0/x?key={KEY}", f"/v0/{KEY}?{TOKEN}"):
        requests.get(base + path, headers=headers, timeout=10)
    requests.get(f"{base}/v0/{'x' * 9000}?{TOKEN}", headers=headers, timeout=10)
    requests.get(f"{base}/v0/x?{TOKEN}", headers=headers | {"X-Long": "x" * 9000}, timeout=10)


def test_the_access_log_is_json_that_tells_what_happened(server: Upstream, front: Front) -> None:
    server.answer = lambda _request: Answer(headers=FRESH)
    quoted = STATS.replace("orders", "%22a%2Fb//c%22")
    answers = [front.get(f"{quoted}?a=b", User_Agent='x" y\\'), front.get(f"{quoted}?a=b")]
    kept, hit = (front.logged(answer) for answer in answers)
    assert kept | {"time": 0, "seconds": 0, "upstream_seconds": 0, "bytes_received": 0, "bytes_sent": 0} == {
        "time": 0,
        "request_id": answers[0].headers["X-Request-ID"],
        "client": "127.0.0.1",
        "method": "GET",
        "path": quoted,
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes_received": 0,
        "bytes_sent": 0,
        "seconds": 0,
        "upstream_seconds": 0,
        "upstream_status": "200",
        "cache": "MISS",
        "user_agent": 'x" y\\',
    }
    assert (hit["cache"], hit["upstream_seconds"], hit["upstream_status"]) == ("HIT", None, "")
    assert server.seen[0].headers["X-Request-ID"] == kept["request_id"]


def test_every_line_is_json_whatever_was_sent(front: Front) -> None:
    broken = [
        b"\x16\x03\x01\x02\r\n\r\n",
        b'GET /\xff\xfe HTTP/1.0\r\nUser-Agent: \xff\x01"\r\n\r\n',
        b"GET /\r\n",
        b"\r\n\r\nx",
    ]
    for sent in broken:
        front.exchange(sent)
    until(lambda: len((front.directory / "access.log").read_bytes().splitlines()) >= len(broken), 10)
    assert all(isinstance(line["status"], int) for line in front.log())


def test_no_log_holds_a_key_a_token_or_where_one_came_from(server: Upstream, front: Front) -> None:
    requests_with_secrets(front.base)
    until(lambda: len(front.log()) >= 6, 10)
    assert {line["path"] for line in front.log()} >= {
        STATUS.partition("?")[0],
        "/v0/completion_tokens/ct1_...",
        "/v0/x",
        "/v0/tmk_...",
    }
    hold_no_secret(front.directory)


def test_nor_do_they_when_there_is_no_server(directory: Path) -> None:
    """Which nginx calls critical, and then writes the request's line."""
    with nginx(directory, directory / "none.sock") as base:
        requests_with_secrets(base)
        front = Front(base=base, directory=directory)
        until(lambda: len(front.log()) >= 6, 10)
    assert sorted(line["status"] for line in front.log()) == [414, 431, 503, 503, 503, 503]
    hold_no_secret(directory)


def hold_no_secret(directory: Path) -> None:
    for name in ("access.log", "error.log", "printed"):
        written = (directory / name).read_text()
        assert not [secret for secret in SECRETS if secret in written], name
