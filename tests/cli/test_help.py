"""``limner --help`` answers at once; docs/command-line.md has every command and option."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from limner.cli import app
from limner.cli.shell import ExitCode
from limner.endpoints import ENDPOINTS

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()

#: What takes longer to import than `limner --help` may take.
HEAVY = {
    "PIL", "asyncio", "cryptography", "cv2", "fastapi", "httpx2", "numpy", "onnxruntime",
    "platformdirs", "pydantic", "pydantic_settings", "ray", "rich", "sqlalchemy", "structlog",
    "torch", "uvicorn",
}  # fmt: skip


def commands(group: Any, path: str = "limner") -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups included."""
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{path} {name}")


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize(
    ("arguments", "by_typer"),
    # typer itself describes the types of parameters by pydantic.
    [(["--help"], set[str]()), (["run", "--help"], {"pydantic"})],
)
def test_help_imports_nothing_heavy(arguments: list[str], by_typer: set[str]) -> None:
    program = (
        "import sys\nfrom limner.cli import app\n"
        "try: app(sys.argv[1:])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: limner")
    imported = {name.partition(".")[0] for name in done.stderr.split()}
    assert imported & (HEAVY - by_typer) == set()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["srve"], "No such command 'srve'. Did you mean 'serve'?"),
        (["keys", "lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["serve", "--prot", "1"], "No such option: --prot. Did you mean --host or --port?"),
        (["--versoin"], "No such option: --versoin. Did you mean --version?"),
    ],
)
def test_a_word_that_is_not_known_is_answered_with_the_likely_one(
    arguments: list[str], hint: str
) -> None:
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (ExitCode.USAGE, "")
    assert hint in done.stderr


def test_the_help_says_how_commands_end() -> None:
    said = CliRunner().invoke(app, ["--help"]).stdout
    for code in ExitCode:
        assert re.search(rf"\b{code.value} (if|when)\b", said), code


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_on_the_page(name: str) -> None:
    command = COMMANDS[name]
    if hasattr(command, "commands") and name != "limner models":
        assert f"## `{name}" in PAGE
        return
    if name == "limner":
        return
    heading = re.search(rf"^##+ `{re.escape(name)}`$", PAGE, re.MULTILINE)
    assert heading is not None
    text = re.split(r"^##", PAGE[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    examples = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert any(re.search(rf"\b{re.escape(name)}\b", block) for block in examples), "no example"
    for parameter in command.params:
        if parameter.hidden or parameter.name == "help":
            continue
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("-"):
                assert f"`{option}" in text, option


def test_the_roots_options_and_exit_codes_are_on_the_page() -> None:
    for parameter in COMMANDS["limner"].params:
        for option in parameter.opts:
            assert f"`{option}" in PAGE
    table = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert [int(code) for code in table] == list(ExitCode)
    for endpoint in ENDPOINTS:
        assert endpoint.alias in PAGE
