"""What the audit of the image's packages makes of what it is told, and the files that it looks at."""

import re
import tomllib
from configparser import ConfigParser
from datetime import date
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import audit
from tests.audit import WAIVERS, BadWaiver, Findings, complaints, main, waivers

DEPLOY = Path(__file__).parents[1] / "deploy"
FILES = (DEPLOY / "requirements.txt", DEPLOY / "build-requirements.txt")
TODAY = date(2026, 6, 15)
IMAGE = {"platform_system": "Linux", "sys_platform": "linux", "python_version": "3.11", "python_full_version": "3.11.9"}

_PINNED = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>\S+) \\\n(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)


def report(*vulnerable: str, skipped: tuple[str, ...] = ()) -> Any:
    """pip-audit's, of packages of which each has the one vulnerability of its name."""
    told = [
        {
            "name": name,
            "version": "1.0",
            "vulns": [{"id": f"PYSEC-{name}", "aliases": [f"CVE-{name}"], "fix_versions": []}],
        }
        for name in vulnerable
    ]
    return {
        "dependencies": [
            *told,
            {"name": "good", "version": "1", "vulns": []},
            *({"name": n, "skip_reason": "?"} for n in skipped),
        ]
    }


def answering(monkeypatch: pytest.MonkeyPatch, **reports: Any) -> list[str]:
    """Lets the services answer so; those who were asked."""
    asked: list[str] = []

    def ask(service: str, _files: Any) -> Any:
        asked.append(service)
        return reports.get(service)

    monkeypatch.setattr(audit, "_ask", ask)
    return asked


def test_nothing_is_known_and_nobody_else_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answering(monkeypatch, pypi=report())
    assert main([], "") == 0
    assert asked == ["pypi"]
    assert "NOT AUDITED" not in capsys.readouterr().out


def test_a_vulnerability_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answering(monkeypatch, pypi=report("bad"))
    assert main([], "") == 1
    assert "bad 1.0: CVE-bad, PYSEC-bad, fixed in no version yet" in capsys.readouterr().out


def test_what_one_service_does_not_know_another_may(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, pypi=report(skipped=("bad",)), osv=report("bad"))
    assert main([], "") == 1
    assert asked == ["pypi", "osv"]


@pytest.mark.parametrize("reports", [{}, {"pypi": report(skipped=("x",))}])
def test_that_nobody_could_be_asked_is_said_loudly_and_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reports: dict[str, Any]
) -> None:
    answering(monkeypatch, **reports)
    assert main([], "") == 0
    assert "!! NOT AUDITED" in capsys.readouterr().out
    assert main([], "CVE-1 2020-01-01 long ago") == 1, "a waiver's day ends all the same"


def test_a_waiver_lets_pass_what_it_names_until_its_day_is_over() -> None:
    found = Findings()
    found.add(report("one", "two"))
    waived = waivers("# why\nCVE-one  2026-06-15  not reached\n\nPYSEC-two 2026-06-14 harmless # really\n")
    assert waived == {"CVE-one": date(2026, 6, 15), "PYSEC-two": date(2026, 6, 14)}
    assert complaints(found.found, waived, TODAY) == ["the waiver of PYSEC-two was for until 2026-06-14"]
    assert complaints(found.found, {}, TODAY) == [str(each) for each in found.found]


@pytest.mark.parametrize("line", ["CVE-1", "CVE-1 2026-01-01", "CVE-1 soon because", "2026-01-01 CVE-1 because"])
def test_a_waiver_without_its_day_or_its_reason_is_none(line: str) -> None:
    with pytest.raises(BadWaiver):
        waivers(line)


def test_the_waivers_there_are_say_something() -> None:
    waivers(WAIVERS.read_text())


def pinned(path: Path) -> dict[str, str]:
    """The versions in a file, in which there is nothing else."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    assert _PINNED.sub("", text) == ""
    return {match["name"]: match["version"] for match in _PINNED.finditer(text)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_image_is_built_of_files_that_are_known_and_of_nothing_else(path: Path) -> None:
    assert pinned(path)
    assert "://" not in path.read_text()
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    installs = [line for line in dockerfile.splitlines() if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert all("--no-build-isolation" in line or "--only-binary :all:" in line for line in installs)
    assert sum(f"-r deploy/{path.name}" in line for line in installs) == 1


def test_they_satisfy_setup_cfg_and_each_other() -> None:
    """Whoever changes setup.cfg runs `make lock`."""
    versions, setup = pinned(FILES[0]), ConfigParser()
    setup.read(DEPLOY.parent / "setup.cfg")
    own = setup["options"]["install_requires"] + setup["options.extras_require"]["nats"]
    wanted = [(Requirement(text), "") for text in own.split("\n") if text]
    needed: set[str] = set()
    while wanted:
        requirement, extra = wanted.pop()
        if requirement.marker and not requirement.marker.evaluate(IMAGE | {"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(versions[name]), f"{requirement} has {versions[name]}: run `make lock`"
        if name not in needed:
            needed.add(name)
            wanted += [(Requirement(text), each) for text in required(name) for each in requirement.extras or ("",)]
    assert needed == versions.keys()


def required(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # needed on other machines than this
        return []


def test_what_builds_them_is_there() -> None:
    system = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["build-system"]
    versions = pinned(FILES[1])
    for text in system["requires"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[requirement.name])
