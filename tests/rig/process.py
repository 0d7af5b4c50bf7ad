"""Starting and killing a real server process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import httpx2

ROOT = Path(__file__).parents[2]
Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], within: float = 30.0) -> Found:
    """The first true answer of ``look``; a deadline, not a measurement."""
    deadline = time.monotonic() + within
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing within {within} s")
        time.sleep(0.02)


class Server:
    """A Limner with the metronome, in its own process group, on a port of its own."""

    def __init__(
        self,
        home: Path,
        env: Mapping[str, str] | None = None,
        tls: bool = False,
        port: int = 0,
        workers: bool = True,
        hasty: bool = False,
    ) -> None:
        # One client, because making one reads every certificate there is; no line is kept, because
        # servers here come and go on the same port.
        self._client = httpx2.Client(timeout=60, limits=httpx2.Limits(max_keepalive_connections=0))
        self.home = home
        self.log = home / "server.log"
        home.mkdir(parents=True, exist_ok=True)
        networks = Path(os.environ.get("LIMNER_HOME", ROOT / ".limner")) / "networks"
        if networks.exists() and not (home / "networks").exists():
            (home / "networks").symlink_to(networks)
        environment = {
            **os.environ,
            "LIMNER_HOME": str(home),
            "LIMNER_LEASE": "1",
            "LIMNER_ALLOW_PRIVATE_URLS": "1",
            **(env or {}),
        }
        arguments = ["serve", str(port)]
        arguments += ["--tls"] if tls else []
        arguments += [] if workers else ["--no-worker"]
        arguments += ["--hasty"] if hasty else []
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.rig", *arguments],
                cwd=ROOT,
                env=environment,
                stderr=log,
                start_new_session=True,
            )
        # With TLS the port takes plain HTTP too, and what only talks to it can use that.
        self.base = eventually(self._address).replace("https://", "http://")
        self.authority = home / "tls" / "ca.pem"
        eventually(lambda: self.get("/health").status_code == 200)

    def _address(self) -> str | None:
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        said = self.log.read_text()[self._said_before :]
        found = re.findall(r"https?://\S+", said)
        return found[-1] if found else None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.base.rpartition(":")[2])

    def get(self, path: str, **options: object) -> httpx2.Response:
        """GET on the server's own name."""
        return self.call("GET", path, **options)

    def post(self, path: str, **options: object) -> httpx2.Response:
        """POST on the server's own name."""
        return self.call("POST", path, **options)

    def call(self, method: str, path: str, **options: object) -> httpx2.Response:
        """Any call; a server that is not up yet answers 503."""
        try:
            return self._client.request(method, self.base + path, **options)  # pyright: ignore
        except httpx2.ConnectError:
            return httpx2.Response(503)

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return [int(line.split()[0]) for line in listed.splitlines() if "rig work" in line]

    def kill(self) -> None:
        """kill -9 of the server alone; its workers notice by themselves."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """A polite end; raises if it takes for ever."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
