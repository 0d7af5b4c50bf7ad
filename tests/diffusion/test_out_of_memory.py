"""Memory that is out: told with what to do, given back, and the next request is drawn."""

from __future__ import annotations

import base64
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2DCrossAttn

from limner.diffusion.holdings import Holdings
from limner.diffusion.machine import is_out_of_memory, out_of_memory_told
from limner.diffusion.weights import MODEL_TYPES, WEIGHTS
from limner.endpoints.base import Workshop
from limner.endpoints.ip_adapter_face_id.schema import IP_ADAPTER_FACE_ID
from limner.errors import OutOfMemory
from limner.files.disk import DiskStore
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Status, Submission
from limner.stages.fetch import Door
from limner.worker.engines import Engines
from limner.worker.loop import Worker, WorkerParts
from limner.worker.pictures import PictureRules
from tests.diffusion.test_service import FACE
from tests.rig.process import eventually

#: What torch raises: on an accelerator, on a CPU, and what Python itself does.
FAULTS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate"
                 " memory: you tried to allocate 9663676416 bytes. Error code 12"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: not enough memory"),
    MemoryError(),
)  # fmt: skip


def asked() -> dict[str, Any]:
    face = "data:image/jpeg;base64," + base64.b64encode(FACE.read_bytes()).decode()
    return {
        "prompt": "a person",
        "model_type": "1_5-v1",
        "face_image_url": face,
        "seed": 5,
        "num_samples": 2,
        "num_inference_steps": 2,
        "width": 64,
        "height": 64,
    }


@contextmanager
def working(ledger: Ledger, files: Path, workshop: Workshop) -> Iterator[None]:
    """A worker of the diffusion engine in this process, so that its UNet can be made to fail."""
    worker = Worker(
        WorkerParts(
            ledger=ledger,
            files=DiskStore(files),
            door=Door(allow_private=False, max_bytes=1 << 20, timeout=1),
            engines=Engines([IP_ADAPTER_FACE_ID], "diffusion", workshop),
            slots=1,
            lease=30,
            pictures=PictureRules(retention=60),
        )
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(60)
        assert not thread.is_alive()


def test_a_request_that_does_not_fit_is_told_and_the_same_worker_draws_the_next(
    weights: Path, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "weights"
    home.mkdir()
    for owner in weights.iterdir():
        (home / owner.name).symlink_to(owner)
    for name in MODEL_TYPES["1_5-v1"].needs:
        if not WEIGHTS[name].commercial:
            Holdings(home, commercial=False).accept(name)
    coming = list(FAULTS)
    held: list[weakref.ref[torch.Tensor]] = []
    draws = UNetMidBlock2DCrossAttn.forward

    def forward(self: Any, *given: Any, **named: Any) -> Any:
        if not coming:
            return draws(self, *given, **named)
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        raise coming.pop(0)

    monkeypatch.setattr(UNetMidBlock2DCrossAttn, "forward", forward)
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lease=30) as ledger:

        def outcome() -> Outcome:
            submission = Submission(IP_ADAPTER_FACE_ID.id, asked())
            request_id = ledger.submit(submission).result().id

            def ended() -> Outcome | None:
                found = ledger.get(request_id).result()
                return found.outcome if found and found.status is Status.DONE else None

            return eventually(ended, within=120)

        with working(ledger, tmp_path / "files", Workshop(networks, threads=1, weights=home)):
            for _ in FAULTS:
                refused = outcome()
                assert refused.http_status == 500
                (entry,) = refused.body["detail"]
                assert entry["type"] == "internal_server_error"
                assert "2 samples of 64×64 on 1_5-v1 do not fit" in entry["msg"]
                assert "fewer num_samples" in entry["msg"]
                assert "limner doctor" in entry["msg"]
            assert outcome().http_status == 200
    assert len(held) == len(FAULTS)
    assert all(tensor() is None for tensor in held), "what the failed work held is kept"


def test_what_is_no_lack_of_memory_is_not_told_as_one() -> None:
    fault = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert not is_out_of_memory(fault)
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_told("It", "less"):
        raise fault


def test_a_network_that_does_not_fit_while_it_is_opened_is_not_called_unfit(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limner.diffusion import load
    from tests.diffusion import tiny
    from tests.diffusion.conftest import MACHINE

    def full(*_: Any, **__: Any) -> Any:
        raise FAULTS[1]

    monkeypatch.setattr(load, "_diffusers", full)
    with pytest.raises(OutOfMemory), out_of_memory_told("It", "less"):
        load.load_base(weights / tiny.BASES["sd15"], MACHINE, xl=False)
