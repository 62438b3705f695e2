"""What an engine does with docker-compose.yml and deploy/Dockerfile, on this machine and without one.

The paths of images and volumes are all below one directory of this machine. Processes run as the users that the files
name, where this one may choose. Networks, read-only file systems and capabilities are not imitated.
"""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.serving import free_port

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"

_VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")
_HERE = ("/opt/tidemark", "/run", "/etc/tidemark", "/etc/nginx", "/var/cache/nginx", "/var/log/nginx")
_MAPPED = re.compile(rf"(?<![\w/])({'|'.join(_HERE)})(?=[/:]|$)")


class Refused(Exception):
    """A required variable is missing."""


def services(environment: Mapping[str, str]) -> dict[str, Any]:
    """The services of docker-compose.yml, with the variables filled in. Raises Refused."""
    return dict(_filled(yaml.safe_load(COMPOSE.read_text()), environment)["services"])


def _filled(node: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, environment) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, environment) for value in node]
    return _VARIABLE.sub(lambda found: _value(found, environment), node) if isinstance(node, str) else node


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name, rule, text = found.groups()
    if value := environment.get(name):
        return value
    if rule == ":?":
        raise Refused(f"{name}: {text}")
    return text or ""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, each with its arguments."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")]
    pairs = (line.split(maxsplit=1) for line in "\n".join(lines).replace("\\\n", " ").splitlines())
    return [(name, arguments) for name, arguments in pairs]


@dataclass
class Machine:
    """The directory below which everything is, and what the Dockerfile says of the image."""

    directory: Path
    outside: Mapping[str, str]  # the environment, beside what the files say: how to reach what is not in a network here
    workdir: Path = Path()
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    command: list[str] = field(default_factory=list)

    def build(self) -> None:
        """Does what the Dockerfile says. The two stages are one here, as their paths are the same."""
        for name, arguments in instructions():
            match name:
                case "WORKDIR":
                    self.workdir = Path(self.mapped(arguments))
                    self.workdir.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(shlex.split(arguments))
                case "RUN":
                    path = {"PATH": f"{_python()}:{os.environ['PATH']}"}
                    subprocess.run(["bash", "-c", arguments], cwd=self.workdir, env=os.environ | path, check=True)
                case "ENV":
                    key, _, value = arguments.partition("=")
                    self.environment[key] = self.mapped(value).replace("$PATH", os.environ["PATH"])
                case "USER":
                    self.user = arguments
                case "CMD":
                    self.command = json.loads(arguments)
                case _:
                    assert name == "FROM", f"{name} is not imitated"

    def _copy(self, arguments: Sequence[str]) -> None:
        *sources, target = arguments
        if sources[0].startswith("--from="):
            assert self.mapped(sources[1]) == str(self.workdir / target), "two paths would have to be told apart"
            return
        for source in sources:
            to = self.workdir / target / (Path(source).name if target.endswith("/") else "")
            to.parent.mkdir(exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, to)
            subprocess.run(["chmod", "--recursive", "go=", to], check=True)  # as cloned by somebody with a umask of 077

    def mount(self, path: str, options: str) -> None:
        """A file system in memory, empty."""
        made = Path(self.mapped(path))
        made.mkdir(parents=True)
        wanted = dict(option.split("=") for option in options.split(","))
        if os.geteuid() == 0:
            os.chown(made, int(wanted["uid"]), int(wanted["gid"]))
        made.chmod(int(wanted["mode"], 8))

    def mapped(self, text: str) -> str:
        """The text with the paths that are there on this machine."""
        return _MAPPED.sub(lambda found: f"{self.directory}{found[1]}", text)

    def start(self, service: Mapping[str, Any], command: Sequence[str]) -> subprocess.Popen[str]:
        """Starts the command in the service's container."""
        environment = {name: self.mapped(value) for name, value in service.get("environment", {}).items() if value}
        uid, _, gid = service.get("user", self.user).partition(":")
        as_root = os.geteuid() == 0 and _for_everybody(_python())
        return subprocess.Popen(
            [self.mapped(argument) for argument in command],
            cwd=self.workdir,
            env=self.environment | environment | dict(self.outside),
            user=int(uid) if as_root else None,
            group=int(gid) if as_root else None,
            extra_groups=[int(group) for group in service.get("group_add", [])] if as_root else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, service: Mapping[str, Any], command: Sequence[str]) -> tuple[int, str]:
        """Runs it to its end, and answers its code and what it has printed."""
        process = self.start(service, command)
        printed, _ = process.communicate(timeout=60)
        return process.returncode, printed

    def healthy(self, service: Mapping[str, Any]) -> bool:
        """Whether the service's health check succeeds."""
        kind, *command = service["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(service, command)[0] == 0


@cache
def _python() -> Path:
    """The directory of a ``python3`` that can make the environment: one that other users can run, if there is one."""
    found = [Path(sys.executable).resolve().parent, Path("/usr/bin")]
    return next((path for path in found if _for_everybody(path) and _suffices(path / "python3")), found[0])


def _for_everybody(path: Path) -> bool:
    return all(directory.stat().st_mode & stat.S_IXOTH for directory in (path, *path.parents))


def _suffices(python: Path) -> bool:
    check = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"
    return python.exists() and subprocess.run([python, "-c", check], capture_output=True).returncode == 0


def nginx_configuration(machine: Machine) -> tuple[str, int]:
    """deploy/nginx.conf with the paths of this machine and a free port, and that port."""
    port = free_port()
    temporary = "".join(
        f"{module}_temp_path {machine.directory}/var/cache/nginx/{module};\n"
        for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )  # which are built in, and other ones in other builds
    text = re.sub(
        r"(?<=[\s:])(/run|/var/log/nginx)(?=/)", rf"{machine.directory}\1", (ROOT / "deploy/nginx.conf").read_text()
    )
    text, listens = re.subn(r"^(\s+listen) 80\b", rf"\1 127.0.0.1:{port}", text, flags=re.MULTILINE)
    assert listens == 1
    return text.replace("http {\n", f"http {{\n{temporary}", 1), port
