"""``limner pull`` and ``limner models`` against a hub of our own, as an operator runs them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from limner.diffusion import pull
from limner.diffusion.base_models import parse_base
from limner.diffusion.holdings import Holdings
from limner.diffusion.lcm_weights import LCM
from limner.diffusion.pull import Wanted, room_for
from limner.diffusion.quota import in_use, make_room
from limner.diffusion.weight import File, Weight, base_files
from limner.diffusion.weights import DEPTH, ENDPOINT_NEEDS, MODEL_TYPES, SAFETY, WEIGHTS
from limner.errors import NetworkMissing, NetworkUnfit
from tests.diffusion import tiny
from tests.diffusion.hub import COMMIT, Hub

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
    assert "no: `limner pull instantid`" in shown

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


def test_a_hub_that_answers_nothing_is_no_stack_trace(operator: Operator) -> None:
    operator.hub.refuse["config.json"] = 0, ""
    pulled = operator.runs("pull", "vae-ft-mse")
    assert pulled.returncode == 1
    assert "the hub broke off at config.json" in pulled.stderr
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


def test_what_is_known_by_a_branch_only_is_pinned_to_what_came_first(operator: Operator) -> None:
    """A branch may move: what was pulled stays what it is, also when it is fetched once more."""
    root = operator.home.parent / "hub"
    shutil.copytree(operator.hub.root / tiny.VAE_REPO, root / tiny.VAE_REPO)
    operator.hub.root = root

    def revision() -> str:
        shown = operator.runs("models", HF_HUB_OFFLINE="1").stdout
        return next(line for line in shown.splitlines() if "vae-ft-mse " in line)

    assert "unpinned" in revision()
    assert operator.runs("pull", "vae-ft-mse").returncode == 0
    assert f"{COMMIT[:8]}, pulled" in revision()
    pin = Holdings(operator.home / "weights", commercial=False).record.pins["vae-ft-mse"]
    assert pin["commit"] == COMMIT
    assert pin["files"] == {
        name: hashlib.sha256((root / tiny.VAE_REPO / name).read_bytes()).hexdigest()
        for name in ("config.json", "diffusion_pytorch_model.safetensors")
    }

    moved = operator.home.parent / "moved"
    shutil.copytree(root, moved)
    (moved / tiny.VAE_REPO / "config.json").write_text("{}")
    operator.hub.before[COMMIT], operator.hub.root, operator.hub.commit = root, moved, "f" * 40
    for path in (operator.home / "hf").rglob("config.json"):
        path.resolve().unlink()
        path.unlink()
    assert operator.runs("pull", "vae-ft-mse").returncode == 0
    (config,) = (operator.home / "hf").rglob("config.json")
    assert config.read_bytes() == (root / tiny.VAE_REPO / "config.json").read_bytes()

    config.resolve().write_text("{}")
    broken = operator.runs("models", "verify")
    assert broken.returncode == 1
    assert f"DIFFERENT     {tiny.VAE_REPO}/config.json" in broken.stdout


def test_a_base_over_the_quota_sends_off_the_one_used_longest_ago_and_none_in_use(
    operator: Operator, weights: Path
) -> None:
    root = operator.home.parent / "hub"
    commits = {name: str(number) * 40 for number, name in enumerate("abcd", 1)}
    for name in commits:
        shutil.copytree(weights / tiny.BASES["sd15"], root / "someone" / name)
    operator.hub.root = root
    size = sum(
        (root / "someone" / "a" / file.path).stat().st_size
        for file in base_files(xl=False, vae=True)
        if file.path != "model_index.json"
    )
    most = {"LIMNER_BASES_QUOTA": str(2 * size + 1000)}
    here = Holdings(operator.home / "weights", commercial=False)

    def pull(name: str) -> subprocess.CompletedProcess[str]:
        operator.hub.commit = commits[name]
        return operator.runs("pull", f"someone/{name}", **most)

    def use(name: str, at: float) -> None:
        with in_use(here.home, Path(here.record.bases[f"someone/{name}"])):
            pass
        for mark in (here.home / "used").iterdir():
            if mark.stat().st_mtime > at:
                os.utime(mark, (at, at))

    assert pull("a").returncode == pull("b").returncode == 0
    use("b", 1000.0)
    use("a", 2000.0)
    assert "someone/b went to make room" in pull("c").stdout
    assert set(here.record.bases) == {"someone/a", "someone/c"}
    kept = {path.parent.parent.parent.name for path in (operator.home / "hf").rglob("unet")}
    assert kept == {"models--someone--a", "models--someone--c"}

    use("c", 3000.0)
    with in_use(here.home, Path(here.record.bases["someone/a"])):
        assert "someone/c went to make room" in pull("d").stdout, "a is older, but drawn on"
        with in_use(here.home, Path(here.record.bases["someone/d"])):
            refused = pull("b")
    assert refused.returncode == 1
    assert "are in use" in refused.stderr
    assert set(here.record.bases) == {"someone/a", "someone/d"}


def test_what_the_operator_brought_is_neither_counted_nor_removed(
    operator: Operator, weights: Path
) -> None:
    own = operator.home.parent / "own"
    shutil.copytree(weights / tiny.BASES["sd15"], own)
    assert operator.runs("models", "add", "mine", str(own)).returncode == 0
    here = Holdings(operator.home / "weights", commercial=False)
    assert make_room(here, quota=10, size=10) == []
    assert "mine" in here.record.bases
    with pytest.raises(NetworkMissing, match="LIMNER_BASES_QUOTA"):
        make_room(here, quota=10, size=11)


def test_a_file_too_large_for_a_base_is_refused_before_its_first_byte(
    operator: Operator, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "LARGEST_FILE", 1000)
    monkeypatch.setattr(pull, "room_for", lambda _: 0)
    here = Holdings(operator.home / "weights", commercial=False)
    large = pull.Wanted("a/b", COMMIT, File("unet/model.safetensors"), 1001)
    monkeypatch.setattr(pull, "fetch", lambda _: pytest.fail("fetched"))
    monkeypatch.setattr(pull, "missing", lambda *_: [large])
    with pytest.raises(NetworkUnfit, match=r"unet/model\.safetensors has more than"):
        pull.pull_base(
            parse_base("https://huggingface.co/a/b/resolve/main/x.safetensors"), here, 10**9
        )


def test_an_unknown_name_is_refused_naming_the_known(operator: Operator) -> None:
    asked = operator.runs("pull", "face-id")
    assert asked.returncode == 2
    assert "faceid-sd15" in asked.stderr


def test_every_weight_says_its_terms_and_where_it_is_from() -> None:
    def whole(weight: Weight) -> bool:
        return bool(weight.licence and weight.what and weight.files)

    assert all(whole(weight) for weight in WEIGHTS.values())
    needs = [*ENDPOINT_NEEDS.values(), *(kind.needs for kind in MODEL_TYPES.values())]
    optional = DEPTH, (SAFETY,), [each.name for each in LCM.values()]
    assert {need for each in (*needs, *optional) for need in each} == set(WEIGHTS)
