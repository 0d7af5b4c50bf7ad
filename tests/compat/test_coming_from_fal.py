"""docs/coming-from-fal.md leads here: each of its blocks, with fal's own packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.conftest import NODE_CLIENT, node_program
from tests.rig.process import ROOT, Server

PAGE = (ROOT / "docs" / "coming-from-fal.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHELL = [block for kind, block in BLOCKS if kind == "sh"]
(PYTHON,) = [block for kind, block in BLOCKS if kind == "python"]
SCRIPT = [block for kind, block in BLOCKS if kind == "js"]

RUN = "import fal_client; print(fal_client.run('limner/metronome', {'steps': 2})['steps'])"
UPLOAD = (
    "import fal_client; url = fal_client.upload(b'12345', 'text/plain');"
    "print(fal_client.run('limner/metronome', {'steps': 0, 'picture': url})['read'])"
)


def printed(server: Server, command: list[str], script: str = "", cwd: Path = ROOT) -> str:
    """What a command prints in a shell that has run the page's lines."""
    # The page has the address of a server that was started without a word.
    lines = script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    lines = lines.replace("localhost:8000", f"localhost:{server.port}")
    done = subprocess.run(
        ["sh", "-c", f'{lines}\nexec "$@"', "sh", *command],
        cwd=cwd,
        env={**os.environ, "FAL_KEY": "any:key", "LIMNER_HOME": str(server.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("block", "program", "told"), [(0, UPLOAD, "5"), (1, RUN, "2")])
def test_the_variables_for_fal_client(
    tls_server: Server, block: int, program: str, told: str
) -> None:
    assert printed(tls_server, [sys.executable, "-c", program], SHELL[block]) == told


def test_the_addresses_for_plain_http(server: Server) -> None:
    program = PYTHON.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    assert printed(server, [sys.executable, "-c", f"{program}\n{UPLOAD}"]) == "5"


def test_the_variables_for_the_fal_package(tls_server: Server, fal_package: Path) -> None:
    program = (
        "import fal.apps\n"
        "print(fal.apps.run('limner/metronome', {'steps': 2})['steps'])\n"
        "with fal.apps.ws('limner/metronome') as line:\n"
        "    print(line.run({'steps': 0})[:9])"
    )
    lines = f"unset PYTHONPATH\n{SHELL[2]}"
    told = printed(tls_server, [str(fal_package / "python"), "-c", program], lines)
    ran, answered = told.splitlines()
    assert ran == "2"
    assert "steps" in answered


def test_the_line_for_node(server: Server, node_modules: Path) -> None:
    line = SCRIPT[0].replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    program = (
        f'import {{ fal }} from "@fal-ai/client";\n{line}'
        'console.log((await fal.run("limner/metronome", { input: { steps: 2 } })).data.steps);'
    )
    command = [node_program()[0], "--input-type=module", "-e", program]
    assert printed(server, command, cwd=NODE_CLIENT) == "2"


def test_the_line_for_a_page_is_the_one_that_a_browser_was_tried_with() -> None:
    """test_browser.py's road "text"."""
    assert "text: [{ proxyUrl: proxy }, false]" in (NODE_CLIENT / "browser.mjs").read_text()
    assert 'proxyUrl: "http://127.0.0.1:8000/api/fal/proxy"' in SCRIPT[1]
