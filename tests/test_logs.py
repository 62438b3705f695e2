"""The log: one JSON object a line, which holds no more than it should."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

SECRET = "s3cret-of-somebody"
# Line breaks of every kind, and what a terminal takes for a command (ECMA-48), in 7 bits and in 8.
HOSTILE = "a\nb\r\nc\x0bd\x0ce\x85f\u2028g\u2029h\x1b[2Ji\x9b2Jj\x07k\x00l\ud800m\"n\\o'p"

BEFORE = """
import logging, threading, warnings
from app import logs
logs.configure({level!r}, lambda: {{"request_id": "abc", "tenant": {hostile!r}}})
log = logging.getLogger("app.somewhere")
"""


def logged(program: str, level: str = "info") -> list[dict[str, Any]]:
    """The lines that a program writes."""
    program = BEFORE.format(level=level, hostile=HOSTILE) + program
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b""
    assert done.stderr.isascii()
    assert b"\x1b" not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_is_an_object_whatever_it_holds() -> None:
    (line,) = logged(f"log.warning('told %s', {HOSTILE!r}, extra={{'more': {HOSTILE!r}}})")
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": f"told {HOSTILE}",
        "level": "warning",
        "logger": "app.somewhere",
        "request_id": "abc",
        "tenant": HOSTILE,
        "more": HOSTILE,
    }


def test_an_exception_tells_its_class_and_where_and_nothing_that_it_says() -> None:
    program = f"""
def fail():
    try:
        raise KeyError({SECRET!r})
    except KeyError as error:
        raise ValueError({SECRET!r}) from error
try:
    fail()
except ValueError as error:
    log.exception('it failed')
    log.error('it failed', exc_info=error)
    log.error('it failed: %s', error)
"""
    first, second, third = logged(program)
    for line in (first, second):
        assert line["exception"].endswith("ValueError")
        assert "in fail" in line["exception"]
    assert third["event"] == "it failed: ValueError"
    assert SECRET not in json.dumps([first, second, third])


def test_a_thread_that_ends_by_an_exception_says_nothing_else() -> None:
    program = f"""
def fail():
    raise ValueError({SECRET!r})
thread = threading.Thread(target=fail, name="partitions")
thread.start()
thread.join()
"""
    (line,) = logged(program)
    assert (line["event"], line["level"]) == ("thread partitions has ended", "error")
    assert line["exception"].endswith("ValueError")
    assert SECRET not in json.dumps(line)


def test_a_warning_of_pythons_is_a_line_too() -> None:
    (line,) = logged("warnings.warn('old', stacklevel=1)")
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")


@pytest.mark.parametrize(("level", "written"), [("debug", "dwe"), ("info", "we"), ("warning", "we"), ("error", "e")])
def test_lines_from_the_level_on_are_written(level: str, written: str) -> None:
    assert (
        "".join(line["event"] for line in logged("log.debug('d'); log.warning('w'); log.error('e')", level)) == written
    )


def test_libraries_write_only_what_is_wrong_whatever_the_level() -> None:
    """Their details are of addresses, statements and conditions that nobody has looked through for secrets."""
    program = """
for name in ("psycopg", "sqlalchemy.engine", "asyncio", "nats", "urllib3"):
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger(name), level)(f"{name} {level}")
"""
    assert {line["event"].split()[1] for line in logged(program, "debug")} == {"warning"}


def test_configured_twice_it_writes_once() -> None:
    assert len(logged("logs.configure('info'); log.info('once')")) == 1
    assert logging.getLogger("app").handlers == []
