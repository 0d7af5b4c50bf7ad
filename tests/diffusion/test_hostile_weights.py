"""Model files that mean ill: what they hold is never run, and they are told to be no weights."""

from __future__ import annotations

import ast
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.diffusion.adapter import read_adapter
from limner.diffusion.base_models import base_kind, parse_base
from limner.diffusion.load import load_base, load_single_file
from limner.diffusion.lora import fuse_lora
from limner.diffusion.machine import Machine
from limner.errors import FeatureNotSupported, NetworkUnfit
from tests.diffusion import tiny
from tests.rig.process import ROOT

MACHINE = Machine(torch.device("cpu"), torch.float32)


class Bomb:
    """Leaves a mark where it is unpickled by somebody who trusts it."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is there once code has run."""
    return tmp_path / "it-ran"


def pickled(path: Path, mark: Path) -> Path:
    """A file of weights, as ``torch.save`` writes them, that would leave its mark."""
    torch.save({"image_proj": Bomb(mark), "ip_adapter": {}}, path)
    return path


def test_the_bomb_would_go_off(tmp_path: Path, mark: Path) -> None:
    torch.load(pickled(tmp_path / "a.bin", mark), weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.ckpt", "a.safetensors", "a"])
def test_a_pickle_is_no_adapter_and_no_base_whatever_it_is_called(
    tmp_path: Path, mark: Path, name: str
) -> None:
    file = pickled(tmp_path / name, mark)
    for read in (read_adapter, base_kind, lambda file: load_single_file(file, MACHINE, xl=False)):
        with pytest.raises(NetworkUnfit):
            read(file)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.safetensors"])
def test_a_pickle_is_no_lora(weights: Path, tmp_path: Path, mark: Path, name: str) -> None:
    base = load_base(weights / tiny.BASES["sdxl"], MACHINE, xl=True)
    with pytest.raises(NetworkUnfit, match="no LoRA"):
        fuse_lora(base, pickled(tmp_path / name, mark))
    assert not mark.exists()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_base_whose_weights_are_pickled_is_not_opened(
    weights: Path, tmp_path: Path, mark: Path, part: str
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(weights / tiny.BASES["sd15"], folder)
    (file,) = (folder / part).glob("*.safetensors")
    pickled(file, mark)  # by the right name
    with pytest.raises(NetworkUnfit):
        load_base(folder, MACHINE, xl=False)
    file.unlink()
    pickled(file.with_suffix(".bin"), mark)
    with pytest.raises(NetworkUnfit):
        load_base(folder, MACHINE, xl=False)
    assert not mark.exists()


def test_code_that_a_repository_brings_along_is_not_run(
    weights: Path, tmp_path: Path, mark: Path
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(weights / tiny.BASES["sd15"], folder)
    code = f"import os\nos.mkdir({str(mark)!r})\nclass Own: ...\n"
    for part in ("unet", "vae", "text_encoder", "tokenizer"):
        (folder / part / "own.py").write_text(code)
        for config in (folder / part).glob("*config.json"):
            said = json.loads(config.read_text())
            names = ("AutoConfig", "AutoModel", "AutoTokenizer")
            said["auto_map"] = dict.fromkeys(names, "own.Own")
            said["trust_remote_code"] = True
            config.write_text(json.dumps(said))
    (folder / "pipeline.py").write_text(code)
    load_base(folder, MACHINE, xl=False)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    ["https://[", "https://[::1", "https://hf.co/a/b/resolve/../../c", "https://huggingface.co/a/../b",
     "a/b@../../c", "a/b:../c", "a\\..\\b", "~/b", "a/b\0", "a/b@-", "https://hf.co/a/b/blob/x/y.ckpt"],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_names_nothing(text: str) -> None:
    try:
        ref = parse_base(text)
    except FeatureNotSupported:
        return
    # Compared with what the operator let in, and never opened.
    assert (ref.repo, ref.file) == ("", "") or ".." not in f"{ref.repo}/{ref.revision}/{ref.file}"


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 100_000), st.binary(max_size=6)), max_size=6),
    keep=st.integers(0, 100_000),
)
def test_a_damaged_adapter_is_read_or_told(
    weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[tuple[int, bytes]],
    keep: int,
) -> None:
    name = next(iter(tiny.ADAPTERS))
    whole = bytearray((weights / tiny.FACEID_REPO / name).read_bytes())
    for place, put in edits:
        whole[place % len(whole) : place % len(whole) + len(put)] = put
    file = tmp_path_factory.mktemp("damaged") / "a.bin"
    file.write_bytes(whole[: len(whole) - keep % 5000 if keep % 3 else None])
    try:
        assert read_adapter(file).image_proj
    except NetworkUnfit:
        return


def test_no_line_of_ours_trusts_a_pickle_or_code_from_elsewhere() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            said = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert said.get("trust_remote_code", "False") == "False", path
            function = ast.unparse(call.func)
            assert function not in {"pickle.load", "pickle.loads", "eval", "exec"}, path
            if function == "torch.load":
                assert said.get("weights_only") == "True", path
            if (
                function.endswith("from_pretrained")
                and "tokenizer" not in ast.unparse(call).lower()
            ):
                assert said.get("use_safetensors") == "True", path
