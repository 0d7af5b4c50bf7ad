"""The real shells complete ``limner``: each test types a line and looks at what it became."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limner.cli import app
from limner.cli.completion import SCRIPTS
from tests.rig.process import ROOT

#: How each shell is started with nothing of the user's own, and what it needs before the script.
SHELLS: Mapping[str, tuple[list[str], str]] = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set bell-style none'"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D"),
    "fish": (["fish", "--no-config", "-i"], "set -g fish_autosuggestion_enabled 0"),
}

Type = Callable[[str], list[str]]


def typed(shell: str, script: Path, environment: Mapping[str, str], line: str) -> list[str]:
    """The words that ``line`` has become when Tab is pressed at its end."""
    command, before = SHELLS[shell]
    master, terminal = pty.openpty()
    # In a session of its own, whose terminal this is: fish wants that.
    child = subprocess.Popen(
        ["setsid", "--ctty", *command],
        stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
    )  # fmt: skip
    os.close(terminal)
    try:
        wait_for(master, f"{before}; source {script}; echo re''ady", rb"ready[\r\n]")
        # Tab; then to the line's beginning, where a printf is put, and Enter.
        keys = f"{line}\t\x01printf '<%s>' \x05; echo E''ND"
        said = wait_for(master, keys, rb"END[\r\n]")
        found = re.findall(rb"(?:<[^<>\r\n]*>)+(?=E?N?D?)", said)
        assert found, said
        return re.findall(r"<([^<>]*)>", found[-1].decode())
    finally:
        child.kill()
        child.wait()
        os.close(master)


def wait_for(master: int, keys: str, end: bytes) -> bytes:
    """Type, and read until ``end`` is seen; a deadline, not a measurement."""
    os.write(master, f"{keys}\n".encode())
    said, deadline = b"", time.monotonic() + 60
    while not re.search(end, said):
        assert time.monotonic() < deadline, said
        if select.select([master], [], [], 1)[0]:
            said += os.read(master, 65536)
    return said


@pytest.fixture(params=list(SHELLS))
def type_in(request: pytest.FixtureRequest, tmp_path: Path) -> Type:
    shell = str(request.param)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = tmp_path / "bin" / "limner"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m limner "$@"\n')
    program.chmod(0o700)
    (tmp_path / "script").write_text(SCRIPTS[shell])
    (tmp_path / "photo one.jpg").touch()
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "LIMNER_HOME": str(tmp_path),
        "HOME": str(tmp_path),
        "PS1": "$ ",
        "TERM": "dumb",
    }
    return lambda line: typed(shell, tmp_path / "script", environment, line)


def test_a_shell_completes_commands_options_endpoints_and_fields(type_in: Type) -> None:
    for line, words in {
        "limner conf": ["limner", "config"],
        "limner serve --ope": ["limner", "serve", "--open"],
        "limner run face-to-st": ["limner", "run", "face-to-sticker"],
        "limner run face-to-sticker negat": [
            "limner",
            "run",
            "face-to-sticker",
            "negative_prompt=",
        ],
    }.items():
        assert type_in(line) == words


def test_the_script_is_printed_for_each_shell_and_no_other() -> None:
    for shell, script in SCRIPTS.items():
        assert CliRunner().invoke(app, ["completion", shell]).stdout == script
    assert CliRunner().invoke(app, ["completion", "csh"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["requests", "list", "--state", "f"], ["failed"]),
        (["connect", "p"], ["python"]),
        (["run", "x", "--engine", "d"], ["diffusion"]),
        (["run", "fal-ai/f"], ["fal-ai/face-to-sticker"]),
        (["run", "face-to-sticker", "upscale=t"], ["upscale=true"]),
        (["run", "face-to-sticker", "image_size", "=", "square_"], ["square_hd"]),
        (["run", "face-to-sticker", "image_url=@a/b"], ["image_url=@a/bc.jpg", "image_url=@a/bd/"]),
        (["run", "no-such-endpoint", "p"], []),
    ],
)
def test_values_are_completed_where_there_are_few(
    words: list[str], found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "bd").mkdir(parents=True)
    (tmp_path / "a" / "bc.jpg").touch()
    asked = {
        "_LIMNER_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(["limner", *words]),
        "COMP_CWORD": str(len(words)),
    }
    assert CliRunner().invoke(app, [], env=asked).stdout.split() == found
