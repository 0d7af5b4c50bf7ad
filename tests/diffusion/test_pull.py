"""``limner pull`` and ``limner models`` against a hub of our own, as an operator runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from limner.diffusion.holdings import Holdings
from limner.diffusion.pull import Wanted, room_for
from limner.diffusion.weights import (
    DEPTH,
    ENDPOINT_NEEDS,
    MODEL_TYPES,
    SAFETY,
    WEIGHTS,
    File,
    Weight,
)
from limner.errors import NetworkMissing
from tests.diffusion import tiny
from tests.diffusion.hub import Hub

#: The command line, with no hash expected: the tiny files have others than the published ones.
LIMNER = """
import dataclasses
from limner.diffusion import weights
for name, weight in weights.WEIGHTS.items():
    files = tuple(dataclasses.replace(file, sha256=None) for file in weight.files)
    weights.WEIGHTS[name] = dataclasses.replace(weight, files=files)
from limner.cli import app
app()
"""


@dataclass
class Operator:
    """Someone at a shell with a home and a hub."""

    hub: Hub
    home: Path

    def runs(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        setting = {
            **os.environ,
            "LIMNER_HOME": str(self.home),
            "HF_HOME": str(self.home / "hf"),
            "HF_ENDPOINT": self.hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "COLUMNS": "200",
            **environment,
        }
        return subprocess.run(
            [sys.executable, "-c", LIMNER, *words],
            env=setting,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def operator(weights: Path, tmp_path: Path) -> Iterator[Operator]:
    with Hub(weights) as hub:
        yield Operator(hub, tmp_path / "home")


def test_a_model_type_is_pulled_once_and_shown_as_here(operator: Operator) -> None:
    asked = "fal-ai/ip-adapter-face-id:1_5-v1"
    refused = operator.runs("pull", asked)
    assert refused.returncode == 1
    assert "--accept-license" in refused.stderr
    assert "research only" in refused.stdout
    assert not operator.hub.gets(".bin"), "fetched without the licence"

    pulled = operator.runs("pull", asked, "--accept-license", HF_TOKEN="hf_secret")
    assert pulled.returncode == 0, pulled.stderr
    assert operator.hub.gets("ip-adapter-faceid_sd15.bin") == [None]
    assert operator.hub.seen[-1][3] == "Bearer hf_secret"

    shown = operator.runs("models", HF_HUB_OFFLINE="1").stdout
    here = {line.split()[0] for line in shown.splitlines() if line.rstrip().endswith("yes")}
    assert here == {*MODEL_TYPES["1_5-v1"].needs, SAFETY}

    before = len(operator.hub.gets(""))
    assert operator.runs("pull", asked).returncode == 0, "accepted once, accepted for good"
    assert len(operator.hub.gets("")) == before, "fetched twice"


def test_a_cut_connection_is_taken_up_where_it_broke(operator: Operator) -> None:
    """The hub's client keeps pieces of 10 MB, so the file has 24."""
    name = "ip-adapter-faceid_sd15.bin"
    operator.hub.root = operator.home.parent / "hub"
    (operator.hub.root / tiny.FACEID_REPO).mkdir(parents=True)
    (operator.hub.root / tiny.FACEID_REPO / name).write_bytes(os.urandom(24_000_000))
    operator.hub.cut.add(name)
    pulled = operator.runs("pull", "faceid-sd15", "--accept-license")
    assert pulled.returncode == 0, pulled.stderr
    assert operator.hub.gets(name) == [None, "bytes=10485760-"]
    assert "same" in operator.runs("models", "verify").stdout


def test_other_bytes_than_promised_are_removed_and_reported(operator: Operator) -> None:
    operator.hub.lie.add("ip-adapter-faceid_sd15.bin")
    pulled = operator.runs("pull", "faceid-sd15", "--accept-license")
    assert pulled.returncode == 1
    assert "sha256" in pulled.stderr
    assert not list(operator.home.rglob("*.bin"))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "GatedRepo", "is gated. Accept its terms at https://huggingface.co/"),
        (401, "RepoNotFound", "does not exist or is private"),
        (404, "EntryNotFound", "has no file"),
    ],
)
def test_a_refusal_says_what_to_do(operator: Operator, status: int, code: str, said: str) -> None:
    operator.hub.refuse["config.json"] = status, code
    pulled = operator.runs("pull", "vae-ft-mse")
    assert pulled.returncode == 1
    assert said in pulled.stderr
    assert "Traceback" not in pulled.stderr


def test_offline_nothing_is_asked_and_it_is_said(operator: Operator) -> None:
    pulled = operator.runs("pull", "vae-ft-mse", HF_HUB_OFFLINE="1")
    assert pulled.returncode == 1
    assert "HF_HUB_OFFLINE is set" in pulled.stderr
    assert not operator.hub.seen


def test_a_full_disk_is_seen_before_the_first_byte() -> None:
    wanted = [Wanted("a/b", "main", File("x"), 3_000_000_000)]
    assert room_for(wanted, free=4_000_000_001) == 3_000_000_000
    with pytest.raises(NetworkMissing, match=r"3\.0 GB are needed and 3\.5 GB are free"):
        room_for(wanted, free=3_500_000_000)


def test_a_commercial_server_pulls_nothing_that_forbids_it(operator: Operator) -> None:
    pulled = operator.runs("pull", "faceid-sd15", "--accept-license", LIMNER_COMMERCIAL="1")
    assert pulled.returncode == 1
    assert "commercial" in pulled.stderr
    assert not operator.hub.seen


def test_a_base_is_let_in_by_pulling_it_and_out_again(operator: Operator, weights: Path) -> None:
    root = operator.home.parent / "hub"
    shutil.copytree(weights / tiny.BASES["sd15"], root / "someone" / "model")
    shutil.copytree(weights / tiny.BASES["sd15"], root / "someone" / "pickled")
    (root / "someone" / "pickled" / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    operator.hub.root = root
    pulled = operator.runs("pull", "someone/model")
    assert pulled.returncode == 0, pulled.stderr
    assert "someone/model" in Holdings(operator.home / "weights", commercial=False).record.bases
    pickled = operator.runs("pull", "someone/pickled")
    assert pickled.returncode == 1
    assert "has no file unet/diffusion_pytorch_model.safetensors" in pickled.stderr
    assert operator.runs("models", "rm", "https://huggingface.co/someone/model").returncode == 0
    assert not Holdings(operator.home / "weights", commercial=False).record.bases


def test_an_unknown_name_is_refused_naming_the_known(operator: Operator) -> None:
    asked = operator.runs("pull", "face-id")
    assert asked.returncode == 2
    assert "faceid-sd15" in asked.stderr


def test_every_weight_says_its_terms_and_where_it_is_from() -> None:
    def whole(weight: Weight) -> bool:
        return bool(weight.licence and weight.what and weight.files)

    assert all(whole(weight) for weight in WEIGHTS.values())
    needs = [*ENDPOINT_NEEDS.values(), *(kind.needs for kind in MODEL_TYPES.values())]
    assert {need for each in (*needs, DEPTH, (SAFETY,)) for need in each} == set(WEIGHTS)
