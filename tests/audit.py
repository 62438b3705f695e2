"""`make audit`: asks which of the packages that the image is built of have known vulnerabilities.

Fails on one that no line of deploy/audit-waivers.txt lets pass, and on a line whose day is over. That nobody could be
asked is no vulnerability: it is said loudly, and does not fail.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

WAIVERS = Path(__file__).parents[1] / "deploy" / "audit-waivers.txt"
SERVICES = ("pypi", "osv")  # the second is asked what the first does not know

_WAIVER = re.compile(r"(?P<id>[A-Z]+-[\w-]+)\s+(?P<until>\d{4}-\d\d-\d\d)\s+(?P<reason>\S.*)")
_ASK_SECONDS = 120


class BadWaiver(Exception):
    """A line of the waivers' file that says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """A known one of a package."""

    package: str
    ids: frozenset[str]  # its own and what others call it
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.package}: {', '.join(sorted(self.ids))}, fixed in {', '.join(self.fixed_in) or 'no version yet'}"


@dataclass(slots=True)
class Findings:
    """What has been said of the packages."""

    found: list[Vulnerability] = field(default_factory=list)
    audited: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)

    def add(self, report: Any) -> None:
        """Takes in a report of pip-audit's."""
        for package in report["dependencies"]:
            self.packages.add(package["name"])
            if "skip_reason" not in package:
                self.audited.add(package["name"])
            self.found += [_vulnerability(package, told) for told in package.get("vulns", ())]


def waivers(text: str) -> dict[str, date]:
    """The last day of each waiver. Raises BadWaiver."""
    days = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
        match = _WAIVER.fullmatch(line)
        if match is None:
            raise BadWaiver(f"not an ID, a day and a reason: {line}")
        days[match["id"]] = date.fromisoformat(match["until"])
    return days


def complaints(found: Iterable[Vulnerability], waived: dict[str, date], today: date) -> list[str]:
    """Why the audit fails, if it does."""
    over = [f"the waiver of {name} was for until {until}" for name, until in waived.items() if until < today]
    return over + [str(each) for each in found if not each.ids & waived.keys()]


def main(files: Sequence[str], text: str = WAIVERS.read_text(), services: Sequence[str] = SERVICES) -> int:
    """The exit code."""
    findings = Findings()
    for service in services:
        if not findings.packages or findings.packages - findings.audited:
            findings.add(_ask(service, files) or {"dependencies": []})
    unknown = sorted(findings.packages - findings.audited)
    if unknown or not findings.packages:
        _say_loudly(f"the advisories could not be looked up of {', '.join(unknown) or 'any package'}")
    wrong = complaints(findings.found, waivers(text), datetime.now(UTC).date())
    print(*wrong, f"{len(findings.audited)} packages audited, {len(wrong)} complaints", sep="\n")
    return 1 if wrong else 0


def _vulnerability(package: Any, told: Any) -> Vulnerability:
    return Vulnerability(
        package=f"{package['name']} {package['version']}",
        ids=frozenset((told["id"], *told["aliases"])),
        fixed_in=tuple(told["fix_versions"]),
    )


def _ask(service: str, files: Sequence[str]) -> Any:
    """pip-audit's report; None where the service does not answer."""
    named = [argument for file in files for argument in ("--requirement", file)]
    options = (
        "--require-hashes",
        "--disable-pip",
        "--format=json",
        "--progress-spinner=off",
        f"--vulnerability-service={service}",
    )
    command = [sys.executable, "-m", "pip_audit", *options, *named]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS)
        return json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None


def _say_loudly(text: str) -> None:
    bar = "!" * 120
    print(
        bar,
        f"!! NOT AUDITED: {text}.",
        "!! That proves nothing about them. Run `make audit` where it can ask.",
        bar,
        sep="\n",
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BadWaiver as bad:
        sys.exit(f"{WAIVERS.name}: {bad}")
