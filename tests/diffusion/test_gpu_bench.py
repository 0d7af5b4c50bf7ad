"""``python -m bench.gpu`` runs where there is no GPU, on small networks."""

from __future__ import annotations

import subprocess
import sys

from tests.rig.process import ROOT


def test_the_bench_for_gpus_draws_both_default_requests_without_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", "--tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if "steps" in line]
    assert [row[0].strip() for row in rows] == ["ip-adapter-face-id", "face-to-sticker"]
    assert all(row[-1].strip() == "none" for row in rows), "numbers broke"
    assert all(float(row[5]) > 0 for row in rows), "no step was seen"
