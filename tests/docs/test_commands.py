"""The commands and programs that the README and the quickstart show do what they say.

They are run as they stand, on the port they name, in a folder of their own with a photo ``me.jpg``.
What cannot be run here is named in ``NOT_RUN`` with the reason; a new command fails until it is run
or named.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, page, section, shell_lines
from tests.rig.process import eventually

pytestmark = pytest.mark.networks

PORT = 8000
README = (ROOT / "README.md").read_text()

#: Beginnings of commands that are not run, and why.
NOT_RUN = {
    "make test": "it is running just now",
    "make demo PHOTO=": "make demo is run, and it is the same program",
    "make serve": "make says what it would run, and that is run",
    ".venv/bin/pip install": "gigabytes",
    ".venv/bin/limner pull fal-ai/": "no model hub here; tests/diffusion/test_pull.py has one",
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A newcomer's folder: the photo, the virtual environment, and no state but the networks."""
    shutil.copy(ROOT / "demo" / "astronaut.jpg", tmp_path / "me.jpg")
    for name in (".venv", "demo", "src", "Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    home = tmp_path / ".limner"
    home.mkdir()
    networks = Path(os.environ.get("LIMNER_HOME", ROOT / ".limner")) / "networks"
    (home / "networks").symlink_to(networks)
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "LIMNER_HOME": str(place / ".limner")}


def run(command: str, place: Path, setting: dict[str, str] | None = None) -> str:
    """What a command says on standard output; it must succeed."""
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=place,
        env={**environment(place), **(setting or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def serving(command: str, place: Path) -> Generator[None]:
    """A server on its own port while the block lasts."""
    with socket.socket() as line:
        if line.connect_ex(("127.0.0.1", PORT)) == 0:
            pytest.skip(f"something else listens on port {PORT}")
    server = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=place, env=environment(place), stderr=subprocess.PIPE
    )
    try:
        eventually(lambda: is_ready() or None, within=60)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


def is_ready() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.parametrize("text", [README, page("quickstart.md")], ids=["readme", "quickstart"])
def test_every_command_is_run_by_a_test_or_said_not_to_be(text: str) -> None:
    ran = {"make demo", ".venv/bin/limner serve", ".venv/bin/limner connect", "export", "curl",
           ".venv/bin/limner doctor", "echo"}  # fmt: skip
    for command in shell_lines(text):
        assert command.startswith((*ran, *NOT_RUN)), command


def test_make_demo_makes_a_sticker(place: Path) -> None:
    # -o: what is installed already is not installed once more.
    said = run("make -o .venv/bin/.installed -o .venv/bin/.client demo", place)
    made = [Path(found) for found in re.findall(r"(\S+\.png)", said)]
    assert len(made) >= 2
    for picture in made[-2:]:
        there = picture if picture.is_absolute() else place / picture
        assert there.read_bytes().startswith(b"\x89PNG")


def test_make_test_and_make_serve_run_what_they_should() -> None:
    for target, wanted in (("test", "pytest"), ("serve", "limner serve")):
        told = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert wanted in told.stdout


def test_the_readmes_roads_lead_to_the_server(place: Path) -> None:
    commands = list(shell_lines(README))
    serve = next(c for c in commands if "limner serve" in c and "make" not in c)
    with serving(serve, place):
        for command in commands:
            if "limner connect" in command:
                run(command, place)
            if "| curl" in command:
                assert json.loads(run(command, place))["sticker_image"]["url"]


def test_the_quickstarts_program_saves_a_sticker(place: Path) -> None:
    text = page("quickstart.md")
    program = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert program is not None
    commands = list(shell_lines(section(text, "3. Your program")))
    exports = [command for command in commands if command.startswith("export ")]
    (place / "program.py").write_text(program[1])
    serve = next(command for command in commands if "limner serve" in command)
    with serving(serve, place):
        run("\n".join([*exports, f"{sys.executable} program.py"]), place)
    assert (place / "sticker.png").read_bytes().startswith(b"\x89PNG")
