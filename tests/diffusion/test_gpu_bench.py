"""The benches for GPUs run where there is none, on small networks, and lose no time on one."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch
from bench.on_gpu import PARTS, TINY, Part, lacking, run

from bench import floor, on_gpu
from tests.rig.process import ROOT


def test_the_bench_for_gpus_draws_default_requests_alone_and_in_a_stream_without_one() -> None:
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
    assert [row[0].strip() for row in rows] == [
        "ip-adapter-face-id",
        "face-to-sticker",
        "SDXL-v1, 1 sample",
    ]
    assert all(row[-1].strip() == "none" for row in rows), "numbers broke"
    assert all(float(row[5]) > 0 and float(row[6]) > 0 for row in rows), "no step was seen"


@pytest.mark.parametrize("family", sorted(floor.FAMILIES))
def test_the_way_to_the_floors_table_can_be_gone_without_a_gpu(
    family: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["floor", family, "2", "--tiny"])
    floor.main()
    torch.set_num_threads(threads)
    head, *_, row = [
        line.split("|") for line in capsys.readouterr().out.splitlines() if "|" in line
    ]
    assert len(row) == len(head)
    assert [cell.strip() for cell in row[1:3]] == ["2", "-"]
    assert all(float(cell) > 0 for cell in row[3:7]), "eager, compiled, plain, as served"
    assert row[7].strip() == "yes", "a row has other bits elsewhere"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_floor_of_no_gpu_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["floor", "sd15", "2"])
    with pytest.raises(SystemExit, match="there is none here"):
        floor.main()


def test_no_minute_of_a_gpu_is_lost_on_an_argument_that_a_bench_does_not_know() -> None:
    for part in (*PARTS, *TINY):
        importlib.import_module(part.module).parser().parse_args(part.arguments)
    asked = {(part.module, *part.arguments[:2]) for part in PARTS}
    goals = {("bench.floor", "sd15", "8"), ("bench.floor", "sdxl", "16"), ("bench.gpu",)}
    assert goals <= asked, "what docs/gpu.md has goals for"


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
