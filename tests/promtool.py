"""Prometheus' own judge of its files and of what it reads."""

import shutil
import subprocess

import pytest


def promtool(*arguments: str, given: str = "") -> None:
    """Runs promtool, which must find nothing wrong; ``given`` is its input. Skips where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    ran = subprocess.run([program, *arguments], input=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
