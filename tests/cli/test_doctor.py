"""``limner doctor`` as an operator runs it: a process, its lines, its JSON and its exit code."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.rig.process import ROOT

#: As where only the sketch engine is installed; torch takes seconds, and most checks need none.
SLIM = """
import sys
sys.modules.update(torch=None, diffusers=None, huggingface_hub=None)
from limner.cli import app
try:
    app()
finally:
    heavy = {"numpy", "onnxruntime", "cv2", "torch"} & {n for n, m in sys.modules.items() if m}
    sys.stderr.write(f"heavy: {sorted(heavy)}")
"""
WHOLE = "from limner.cli import app; app()"


def environment(home: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIMNER_")}
    return {**kept, "LIMNER_HOME": str(home), "COLUMNS": "200", **settings}


def runs(
    home: Path, *words: str, program: str = SLIM, **settings: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The checks by name; what every one of them must keep is looked at here."""
    whole = json.loads(done.stdout)
    states = [check["state"] for check in whole["checks"]]
    assert set(states) <= {"green", "yellow", "red"}
    assert all(bool(check["step"]) == (check["state"] != "green") for check in whole["checks"])
    worst = next(state for state in ("red", "yellow", "green") if state in states)
    assert whole["state"] == worst
    assert done.returncode == (1 if worst == "red" else 0), done.stderr
    return {check["name"]: check for check in whole["checks"]}


@pytest.fixture
def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def test_a_fresh_machine_works_and_is_told_what_could_be_better(
    tmp_path: Path, free_port: str
) -> None:
    done = runs(tmp_path / "home", "doctor", "--json", "--port", free_port)
    checks = told(done)
    assert set(checks) == {
        "python", "home", "engine of face-to-sticker", "engine of ip-adapter-face-id", "networks",
        "weights", "port", "keys", "index", "clock", "page", "device",
    }  # fmt: skip
    assert checks["networks"]["step"] == "limner pull sketch"
    assert [name for name, check in checks.items() if check["state"] != "green"] == ["networks"]
    assert checks["engine of face-to-sticker"]["said"].startswith("sketch (diffusion: torch")
    assert "heavy: []" in done.stderr, "something heavy was imported to look at nothing"
    memory = json.loads(done.stdout)["memory"]
    sticker = {fit["where"]: fit for fit in memory if fit["request"] == "fal-ai/face-to-sticker"}
    assert list(sticker) == ["8 GB", "12 GB", "16 GB", "24 GB"]
    assert [fit["offload"] for fit in sticker.values()] == ["blocks", "networks", "none", "none"]
    assert [fit["vae_tiling"] for fit in sticker.values()] == [False, False, True, False]
    assert all(fit["fits"] and fit["dtype"] == "bfloat16" for fit in memory)


def test_without_a_terminal_it_is_plain_lines_and_with_one_colours(
    tmp_path: Path, free_port: str
) -> None:
    plain = runs(tmp_path, "doctor", "--port", free_port).stdout
    assert "\x1b" not in plain
    assert "yellow  networks: " in plain
    assert "        next: limner pull sketch\n" in plain
    assert "memory  fal-ai/face-to-sticker, 16 GB: 14.0 GB, VAE in tiles\n" in plain
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SLIM, "doctor", "--port", free_port],
        env=environment(tmp_path, TERM="xterm"),
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ):
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
    os.close(ours)
    assert b"\x1b[33m" in shown
    assert "→ limner pull sketch".encode() in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that nobody is at the other end
        return b""


def test_a_ledger_that_others_can_read_is_found_and_its_step_shuts_them_out(
    tmp_path: Path, free_port: str
) -> None:
    tmp_path.chmod(0o755)
    ledger = tmp_path / "limner.db"
    ledger.touch()
    ledger.chmod(0o644)
    found = told(runs(tmp_path, "doctor", "--json", "--port", free_port))["access"]
    assert found["state"] == "yellow"
    assert "limner.db (0644)" in found["said"]
    assert ledger.stat().st_mode & 0o777 == 0o644
    subprocess.run(found["step"], shell=True, check=True)
    assert ledger.stat().st_mode & 0o777 == 0o640
    assert "access" not in told(runs(tmp_path, "doctor", "--json", "--port", free_port))


def test_a_server_for_others_needs_a_key_first(tmp_path: Path, free_port: str) -> None:
    words = ("doctor", "--json", "--host", "0.0.0.0", "--port", free_port)
    assert told(runs(tmp_path, *words))["keys"]["step"] == "limner keys create"
    assert runs(tmp_path, "keys", "create").returncode == 0
    checks = told(runs(tmp_path, *words))
    assert checks["keys"]["state"] == "green"


def test_keys_are_looked_for_in_the_database_that_is_set(tmp_path: Path, free_port: str) -> None:
    words = ("doctor", "--json", "--host", "0.0.0.0", "--port", free_port)
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    assert runs(tmp_path, "keys", "create", LIMNER_DATABASE_URL=url).returncode == 0
    assert not (tmp_path / "limner.db").exists()
    assert told(runs(tmp_path, *words, LIMNER_DATABASE_URL=url))["keys"]["state"] == "green"
    away = "postgresql://limner@127.0.0.1:1/limner?connect_timeout=2"
    keys = told(runs(tmp_path, *words, LIMNER_DATABASE_URL=away))["keys"]
    assert (keys["state"], "LIMNER_DATABASE_URL" in keys["step"]) == ("red", True)


def test_a_taken_port_and_a_home_that_is_none_are_found(tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        taken = str(sock.getsockname()[1])
        done = runs(home, "doctor", "--json", "--port", taken)
    checks = told(done)
    assert checks["port"]["state"] == "yellow"
    assert "--port 0" in checks["port"]["step"]
    assert checks["home"]["state"] == "red"
    assert "LIMNER_HOME" in checks["home"]["step"]
    assert "Traceback" not in done.stderr


def test_a_setting_that_is_none_is_one_red_line(tmp_path: Path) -> None:
    done = runs(tmp_path, "doctor", LIMNER_SLOTS="0")
    assert done.returncode == 1
    assert done.stdout.startswith("red     settings: LIMNER_SLOTS: ")
    assert "Traceback" not in done.stderr


def test_with_the_diffusion_engine_it_tells_the_device_and_the_weights(tmp_path: Path) -> None:
    done = runs(
        tmp_path, "doctor", "--json", program=WHOLE, LIMNER_ENGINE="diffusion", HF_HUB_OFFLINE="1"
    )
    checks = told(done)
    weights = checks["weights of ip-adapter-face-id"]
    assert weights["state"] == "red", "diffusion was asked for by name"
    assert weights["step"] == "limner pull fal-ai/ip-adapter-face-id:1_5-v1"
    assert "GiB free" in checks["device"]["said"]
    here = [fit for fit in json.loads(done.stdout)["memory"] if fit["where"] == "here"]
    assert len(here) == 3
    assert all(fit["dtype"] in checks["device"]["said"] for fit in here)


def test_a_broken_torch_is_a_finding_and_stops_no_other_check(
    tmp_path: Path, free_port: str
) -> None:
    broken = tmp_path / "packages" / "torch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise OSError('libtorch_cpu.so: no such file')")
    path = os.pathsep.join([str(broken.parent), os.environ.get("PYTHONPATH", str(ROOT / "src"))])
    done = runs(tmp_path, "doctor", "--json", "--port", free_port, program=WHOLE, PYTHONPATH=path)
    checks = told(done)
    assert checks["device"]["state"] == "red"
    assert checks["page"]["state"] == "green"
    assert "Traceback" not in done.stderr


@pytest.fixture
def index() -> Iterator[str]:
    """A package index whose clock stands still."""

    class Old(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002
            return "Mon, 01 Jan 2024 00:00:00 GMT"

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()


def test_the_index_is_asked_only_if_told_to(tmp_path: Path, free_port: str, index: str) -> None:
    def checks(*words: str, url: str) -> dict[str, dict[str, Any]]:
        words = ("doctor", "--json", "--port", free_port, *words)
        return told(runs(tmp_path, *words, PIP_INDEX_URL=url))

    nowhere = f"http://127.0.0.1:{free_port}/"
    assert "was not asked" in checks(url=nowhere)["index"]["said"]
    assert checks("--online", url=nowhere)["index"]["state"] == "yellow"
    asked = checks("--online", url=index)
    assert asked["index"]["said"].endswith("answers")
    assert asked["clock, online"]["state"] == "yellow"
