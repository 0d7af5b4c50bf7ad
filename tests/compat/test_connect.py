"""`limner connect`: the lines it prints are tried by the clients themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.conftest import NODE_CLIENT
from tests.rig.process import ROOT, Server


def connect(server: Server, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "limner", "connect", *arguments],
        cwd=cwd,
        env={**os.environ, "LIMNER_HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_printed_python_variables_lead_an_unchanged_program_here(tls_server: Server) -> None:
    printed = connect(tls_server, "python", "--url", tls_server.base)
    program = (
        "import fal_client\n"
        "url = fal_client.upload(b'hello', 'text/plain', 'hello.txt')\n"
        "print(fal_client.run('limner/metronome', {'steps': 0, 'picture': url})['read'])\n"
    )
    shell = f'{printed.stdout}\n{sys.executable} -c "{program}"'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "5", done.stderr


def test_the_printed_lines_are_the_shells_where_the_home_has_a_space(tmp_path: Path) -> None:
    """As on macOS, where it lies in Application Support."""
    bundle = tmp_path / "Application Support" / "tls" / "ca-bundle.pem"
    bundle.parent.mkdir(parents=True)
    bundle.write_text("")
    printed = subprocess.run(
        [sys.executable, "-m", "limner", "connect", "python", "--url", "https://127.0.0.1:1"],
        env={**os.environ, "LIMNER_HOME": str(bundle.parent.parent)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shell = f'{printed}\nprintf %s "$SSL_CERT_FILE"'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (str(bundle), "")


@pytest.mark.parametrize(
    ("program", "tls"),
    [("python", False), ("python", True), ("node", False), ("browser", False), ("curl", True)],
)
def test_check_goes_through_the_real_client(
    server: Server, tls_server: Server, node_modules: Path, program: str, tls: bool
) -> None:
    chosen = tls_server if tls else server
    done = connect(chosen, program, "--url", chosen.base, "--check", cwd=NODE_CLIENT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("Checked: ")
    assert chosen.base.removeprefix("http://") in done.stdout


@pytest.mark.parametrize("program", ["curl", "node"])
def test_a_check_without_a_server_says_so(server: Server, node_modules: Path, program: str) -> None:
    done = connect(server, program, "--url", "http://127.0.0.1:9", "--check", cwd=NODE_CLIENT)
    assert done.returncode == 1
    assert "Is the server running" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Node.js v" not in done.stderr  # the last line of every Node program that fails


def test_a_check_without_the_client_says_how_to_get_it(server: Server, tmp_path: Path) -> None:
    done = connect(server, "node", "--url", server.base, "--check", cwd=tmp_path)
    assert done.returncode == 1
    assert "npm install @fal-ai/client" in done.stderr
