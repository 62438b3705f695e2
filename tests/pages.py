"""The pages of the documentation, to be run: their snippets, and their sessions with what they are said to print."""

import re
import subprocess
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
BASE = "http://localhost:8080"  # of the server, on every page

_MARK = "--- next ---"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)


def questions() -> list[tuple[str, str, str, str]]:
    """Those of docs/reporting.md: the number, what is asked, its SQL, and what is answered of the example week."""
    pattern = r"^### (\d+)\. (.*?)\n.*?```sql\n(.*?)```\n(?:\n```text\n(.*?)```)?"
    return re.findall(pattern, (DOCS / "reporting.md").read_text(), re.DOTALL | re.MULTILINE)


def play(page: str, base: str, directory: Path | None = None) -> list[tuple[str, str]]:
    """Runs the commands of the console blocks against the server at ``base``: what each is told to print, and does."""
    session = "".join(blocks(page, "console"))
    commands, told = zip(*re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE), strict=True)
    script = "".join(f"{command}\necho '{_MARK}'\n" for command in commands)
    script = script.replace(BASE.removeprefix("http://"), base.removeprefix("http://"))
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    )
    return list(zip(told, ran.stdout.split(f"{_MARK}\n")[:-1], strict=True))
