"""The bell between processes: it wakes them, and its dead and its folder stop nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from limner.requests.bell import bell_folder
from limner.requests.ledger import Ledger
from limner.requests.request import Submission
from tests.requests.submitting import ENDPOINT, submit


def test_the_bell_wakes_another_process(url: str) -> None:
    program = (
        "import sys, threading\n"
        "from limner.requests.ledger import Ledger\n"
        "heard = threading.Event()\n"
        "with Ledger(sys.argv[1]) as ledger:\n"
        "    with ledger.hear(lambda topic: topic == 'queued' and heard.set()):\n"
        "        print('listening', flush=True)\n"
        "        print(heard.wait(30), flush=True)\n"
    )
    listener = subprocess.Popen(
        [sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True
    )
    assert listener.stdout is not None
    assert listener.stdout.readline() == "listening\n"
    with Ledger(url) as ledger:
        submit(ledger)
    assert listener.communicate()[0] == "True\n"


def test_a_long_name_of_the_temporary_folder_keeps_no_bell_from_ringing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's path has 107 bytes at most."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 90)))
    heard = threading.Event()

    def hear(topic: str) -> None:
        if topic == "queued":
            heard.set()

    with Ledger(url) as ledger, ledger.hear(hear):
        submit(ledger)
        assert heard.wait(10)


def test_a_dead_listener_is_forgotten(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    program = (
        "import os, sys\n"
        "from limner.requests.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "hearing = ledger.hear(print)\n"
        "hearing.__enter__()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, url], check=True)
    with Ledger(url) as ledger:
        folder = bell_folder(url)
        assert folder is not None
        assert len(list(folder.iterdir())) == 1
        submit(ledger)
        ledger.cancel("none").result()
        assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0


def test_a_bell_whose_folder_is_gone_stops_nobody(tmp_path: Path) -> None:
    """Temporary folders get swept; the ledger's writing thread must survive it."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger(url) as ledger:
        folder = bell_folder(url)
        assert folder is not None
        folder.rmdir()
        submit(ledger)
        ledger.submit(Submission(ENDPOINT, {})).result(timeout=10)
