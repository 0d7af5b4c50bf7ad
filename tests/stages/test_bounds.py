"""What a hostile file costs: memory read from a process that opens it, time by its limit of CPU.

Every bomb is told as fal would tell it, and the same process opens the next.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.rig.process import ROOT
from tests.stages.bombs import MB, bombs

#: Bytes that may come on top of the file itself: 20 of an archive's contents, some of ours.
MOST_MORE = 48 * MB


@pytest.fixture(scope="module")
def opener() -> Iterator[subprocess.Popen[bytes]]:
    """A process with 60 seconds of CPU for all bombs together; alone it needs some three."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.stages.bombs"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()


def test_no_bomb_costs_more_than_its_own_bytes_and_all_are_told(
    opener: subprocess.Popen[bytes],
) -> None:
    assert opener.stdin is not None
    assert opener.stdout is not None
    names: list[str] = []
    wrong: list[str] = []
    for parser, name, told, content in bombs():
        names.append(name)
        opener.stdin.write(json.dumps([parser, len(content)]).encode() + b"\n" + content)
        opener.stdin.flush()
        answer = opener.stdout.readline()
        assert answer, f"{parser}: {name}: it took too long"
        said, taken = json.loads(answer)
        if said not in told.split("|") or taken > MOST_MORE + len(content):
            wrong.append(f"{parser}: {name}: {said or 'opened'}, {taken / MB:.0f} MB")
    assert not wrong, "\n".join(wrong)
    assert len(names) >= 40
