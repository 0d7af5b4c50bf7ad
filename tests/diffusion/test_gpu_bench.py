"""The benches for GPUs run where there is none, on small networks, and lose no time on one."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from bench.on_gpu import Part, lacking, run

from bench import on_gpu
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


def test_what_is_missing_is_told_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lacking(gpu=False) == []
    monkeypatch.setattr(on_gpu, "NEEDED", ("torch", "no_such_wheel"))
    monkeypatch.setattr(sys, "argv", ["on_gpu"])
    with pytest.raises(SystemExit, match="Nothing was measured") as end:
        on_gpu.main()
    assert "no_such_wheel cannot be imported" in str(end.value)
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_gpu, "NEEDED", ("torch",))
    assert any("no CUDA device" in fault for fault in lacking(gpu=True))


def test_a_bench_is_stopped_when_its_time_is_over_and_the_next_goes_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    slow = Part("timeit", ("-n", "1", "-r", "1", "import time; time.sleep(600)"), 0.02)
    assert not run([slow, Part("platform", (), 1)], minutes=2)
    printed = capfd.readouterr().out
    assert "was stopped: no time was left for it" in printed
    assert sys.platform.capitalize() in printed, "what came after it"
    assert not run([Part("no_such_bench", (), 1)], minutes=1)
    assert not run([Part("platform", (), 1)], minutes=0)
    assert run([Part("platform", (), 1)], minutes=1)
