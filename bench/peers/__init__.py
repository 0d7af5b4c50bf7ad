"""Servers of models that others have made, each with a model that answers what it was told.

Each lives in a virtual environment of its own, made when it is first wanted, so that nothing of
theirs gets among Limner's packages. Knows how each is installed and started.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.servers import Served

HERE = Path(__file__).parent
PLAIN = '{"prompt":"a pirate"}'

#: Requests cog is let to run at once where it is told any number: twice the clients, because a
#: place is free again only a moment after its answer, and a caller who finds none is sent away.
PLACES = 64


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a peer comes from."""

    requirement: str
    #: What is started, for each name that it is told under.
    served: tuple[Served, ...]


def peers(folder: Path) -> dict[str, Peer]:
    """Every peer, by the name of its environment in ``folder``."""

    def python(name: str) -> str:
        return str(folder / name / "bin" / "python")

    def cog(name: str, places: int) -> Served:
        path = f"{folder / 'cog' / 'bin'}:/usr/bin:/bin"  # it starts "python" by that name
        env = {
            "PORT": "{port}",
            "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
            "COG_MAX_CONCURRENCY": str(places),
            "COG_LOG_LEVEL": "error",
            "PATH": path,
        }
        command = (python("cog"), "-m", "cog.server.http", "--host", "127.0.0.1")
        body = f'{{"input":{PLAIN}}}'
        return Served(
            name, command, "/predictions", body, "/health-check", "READY", env, HERE / "cog"
        )

    litserve = (python("litserve"), "litserve_noop.py", "{port}")
    bentoml = (
        *(python("bentoml"), "-m", "bentoml", "serve", "bentoml_noop:Noop"),
        *("--host", "127.0.0.1", "--port", "{port}"),
    )
    quiet = {"BENTOML_DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": ""}
    return {
        "cog": Peer("cog==0.23.1", (cog("cog", 1), cog(f"cog, {PLACES} at once", PLACES))),
        "litserve": Peer(
            "litserve==0.2.19",
            (Served("LitServe", litserve, "/predict", PLAIN, "/health", "ok", quiet, HERE),),
        ),
        "bentoml": Peer(
            "bentoml==1.4.40",
            (Served("BentoML", bentoml, "/predict", PLAIN, "/readyz", "", quiet, HERE),),
        ),
        "ray": Peer(
            "ray[serve]==2.60.0",
            (
                Served(
                    "Ray Serve",
                    (python("ray"), "ray_noop.py", "{port}"),
                    "/predict",
                    PLAIN,
                    "/-/healthz",
                    "success",
                    quiet,
                    HERE,
                ),
            ),
        ),
    }


def install(folder: Path, name: str, requirement: str) -> None:
    """Make a peer's environment, unless it is there."""
    at = folder / name
    done = at / f".{requirement}"
    if done.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", str(at)], check=True)
    pip = [str(at / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", requirement], check=True)
    done.touch()
