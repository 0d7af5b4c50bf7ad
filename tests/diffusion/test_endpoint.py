"""ip-adapter-face-id on the diffusion engine, as a worker calls it, on tiny checkpoints."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from limner.diffusion import faceid
from limner.diffusion.decode import decode
from limner.diffusion.holdings import Holdings
from limner.diffusion.weights import MODEL_TYPES, WEIGHTS
from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Step, Workshop
from limner.endpoints.ip_adapter_face_id.diffusion import DiffusionFaceId, open_engine
from limner.endpoints.ip_adapter_face_id.schema import (
    IP_ADAPTER_FACE_ID,
    IpAdapterFaceIdInput,
    IpAdapterFaceIdOutput,
)
from limner.endpoints.ip_adapter_face_id.schema import ModelType as Names
from limner.errors import BrokenPicture, FeatureNotSupported, OurFault
from limner.worker.engines import choose
from tests.diffusion import tiny, tiny_eyes
from tests.diffusion.conftest import PUBLISHED
from tests.diffusion.single_file import write_single_file
from tests.endpoints.conftest import ASTRONAUT, FACES, Album

Home = Callable[..., Path]


@dataclasses.dataclass
class Drawn:
    output: IpAdapterFaceIdOutput
    files: list[bytes]
    steps: list[Step]

    @property
    def said(self) -> str:
        return "\n".join(step.message for step in self.steps)


def drawn_by(engine: DiffusionFaceId, **wishes: Any) -> Drawn:
    asked = {
        "prompt": "a person",
        "face_image_url": ASTRONAUT,
        "seed": 7,
        "num_inference_steps": 2,
        "num_samples": 1,
        "width": 64,
        "height": 64,
        **wishes,
    }
    album, steps = Album(), list[Step]()
    work = engine.draw(IpAdapterFaceIdInput(**asked), album)
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return Drawn(end.value, album.kept, steps)


@pytest.fixture(scope="session")
def home(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Makes a folder of weights of its own: all of them, or without the repositories named."""

    def make(*without: str, accepted: bool = True) -> Path:
        folder = tmp_path_factory.mktemp("home")
        for repository in weights.glob("*/*"):
            name = f"{repository.parent.name}/{repository.name}"
            if name not in without:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).symlink_to(repository)
        for weight in WEIGHTS.values() if accepted else ():
            if not weight.commercial:
                Holdings(folder, commercial=False).accept(weight.name)
        return folder

    return make


@pytest.fixture(scope="session")
def engine(home: Home, networks: Path) -> DiffusionFaceId:
    return open_engine(Workshop(networks, may_fetch=False, threads=1, weights=home()))


def opened(networks: Path, folder: Path) -> DiffusionFaceId:
    return open_engine(Workshop(networks, may_fetch=False, threads=1, weights=folder))


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_type_draws_what_was_asked_for(engine: DiffusionFaceId, name: str) -> None:
    drawn = drawn_by(engine, model_type=name, width=70, height=98)
    picture = np.asarray(Image.open(io.BytesIO(drawn.files[0])))
    assert picture.shape == (96, 72, 3)
    assert picture.std() > 1
    assert (drawn.output.image.width, drawn.output.image.height) == (72, 96)
    assert drawn.output.seed == 7
    assert "70×98 is drawn as 72×96" in drawn.said
    assert [step.message for step in drawn.steps if step.message.startswith("Step")] == [
        "Step 1 of 2",
        "Step 2 of 2",
    ]
    assert set(drawn.output.model_dump(exclude_unset=True)) == {"image", "seed"}


def test_the_same_request_gives_the_same_bytes_and_each_sample_is_its_seeds(
    engine: DiffusionFaceId,
) -> None:
    drawn = drawn_by(engine, num_samples=3, return_samples=True, return_scores=True)
    assert drawn.files == drawn_by(engine, num_samples=3, return_samples=True).files
    assert len(set(drawn.files)) == 3
    samples, scores = drawn.output.samples, drawn.output.scores
    assert samples is not None
    assert scores is not None
    assert [sample.seed for sample in samples] == [7, 8, 9]
    for sample, file in zip(samples, drawn.files, strict=True):
        assert drawn_by(engine, seed=sample.seed).files == [file]
    best = max(samples, key=lambda sample: sample.similarity)
    assert drawn.output.image == best.image
    assert scores.samples == [sample.similarity for sample in samples]


def test_who_is_cancelled_between_samples_does_not_wait_for_the_others(
    engine: DiffusionFaceId, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodings = 0

    def counted(*given: Any, **how: Any) -> Any:
        nonlocal decodings
        decodings += 1
        return decode(*given, **how)

    monkeypatch.setattr(faceid, "decode", counted)
    asked = {"num_samples": 3, "return_samples": True}
    told = [step.message for step in drawn_by(engine, **asked).steps]
    between = [message for message in told if message.startswith("Sample ")]
    assert between == [
        f"Sample {number} of 3 {done}"
        for done in ("decoded", "compared", "kept")
        for number in (1, 2)
    ]
    assert decodings == 3
    decodings = 0
    small = {"num_inference_steps": 2, "width": 64, "height": 64}
    wished: dict[str, Any] = {"prompt": "a", "face_image_url": ASTRONAUT, **small, **asked}
    work = engine.draw(IpAdapterFaceIdInput(**wished), Album())
    assert any(step.message == "Sample 1 of 3 decoded" for step in work)
    work.close()
    assert decodings == 1


def test_types_in_turn_draw_as_each_does_alone(
    engine: DiffusionFaceId, home: Home, networks: Path
) -> None:
    """Through the studio that keeps two UNets: no type's LoRA or state reaches another (A.8)."""

    def by(engine: DiffusionFaceId, name: str) -> list[bytes]:
        return drawn_by(engine, model_type=name, num_inference_steps=1).files

    alone = by(opened(networks, home()), "1_5-v1")
    turns = [by(engine, name) for name in ("1_5-v1-plus", "1_5-v1", "SDXL-v1", "1_5-v2-plus")]
    assert turns[1] == alone
    assert by(engine, "1_5-v1") == alone
    assert len({turn[0] for turn in turns}) == 4


def test_seed_0_is_a_seed(engine: DiffusionFaceId) -> None:
    """``seed or random()`` is an old slip (A.9)."""
    zero, again = (drawn_by(engine, seed=0, num_inference_steps=1) for _ in range(2))
    assert zero.output.seed == 0
    assert zero.files == again.files


def test_another_face_is_another_picture(engine: DiffusionFaceId) -> None:
    own = drawn_by(engine).files
    assert drawn_by(engine, face_image_url="06_biden_closeup.jpg").files != own
    assert drawn_by(engine, face_image_url=ASTRONAUT).files == own


def test_both_fields_of_faces_are_averaged_by_the_adapters_own_recogniser(
    engine: DiffusionFaceId, tmp_path: Path
) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for name in ("03_obama_frontal_dark_skin.jpg", "04_obama_speaking.jpg"):
            archive.write(FACES / name, name)
    zipped = str(tmp_path / "faces.zip")
    together = drawn_by(engine, face_image_url="04_obama_speaking.jpg", face_images_data_url=zipped)
    alone = drawn_by(engine, face_image_url="04_obama_speaking.jpg")
    assert together.files != alone.files
    assert "One identity of 3 faces" in together.said


@pytest.mark.parametrize(
    ("without", "name", "said"),
    [
        ("h94/IP-Adapter-FaceID", "1_5-v1", "`limner pull faceid-sd15`"),
        ("h94/IP-Adapter", "SDXL-v2-plus", "`limner pull clip-vit-h`"),
        ("public-data/insightface", "SDXL-v1", "`limner pull arcface-buffalo-l`"),
        ("stabilityai/sd-vae-ft-mse", "1_5-v1", "`limner pull vae-ft-mse`"),
        ("", "1_5-auraface-v1", "`limner models add auraface-sd15 FILE`"),
    ],
)
def test_what_is_not_here_is_told_to_the_caller_by_name(
    home: Home, networks: Path, without: str, name: str, said: str
) -> None:
    with pytest.raises(FeatureNotSupported) as raised:
        drawn_by(opened(networks, home(without)), model_type=name)
    assert said in raised.value.msg
    assert raised.value.loc == ("body", "model_type")


def test_auraface_draws_with_the_operators_own_file(
    home: Home, networks: Path, weights: Path, tmp_path: Path
) -> None:
    folder = home()
    tiny_eyes.write_arcface(folder / "fal" / "AuraFace-v1" / "glintr100.onnx", seed=9)
    own = weights / tiny.FACEID_REPO / "ip-adapter-faceid_sd15.bin"
    Holdings(folder, commercial=False).bring("auraface-sd15", own)
    engine = opened(networks, folder)
    assert drawn_by(engine, model_type="1_5-auraface-v1").files != drawn_by(engine).files


def test_a_base_of_the_other_family_is_refused_naming_both(home: Home, networks: Path) -> None:
    with pytest.raises(FeatureNotSupported) as raised:
        drawn_by(opened(networks, home()), base_1_5_model_repo="SG161222/RealVisXL_V3.0")
    assert "not on this server" in raised.value.msg, "only what was let in"
    folder = home()
    holdings = Holdings(folder, commercial=False)
    from limner.diffusion.base_models import parse_base

    holdings.let_in(parse_base("SG161222/RealVisXL_V3.0"), folder / tiny.BASES["sdxl"])
    with pytest.raises(FeatureNotSupported) as raised:
        drawn_by(opened(networks, folder), base_1_5_model_repo="SG161222/RealVisXL_V3.0")
    assert raised.value.loc == ("body", "base_1_5_model_repo")
    assert "text width 128" in raised.value.msg
    assert "1_5-v1 draws on Stable Diffusion 1.5" in raised.value.msg


def test_a_base_that_was_let_in_draws_and_the_next_request_is_on_the_default_again(
    home: Home, networks: Path, tmp_path: Path
) -> None:
    from limner.diffusion.base_models import parse_base

    folder, base = home(), tmp_path / "base"
    torch.manual_seed(11)
    tiny.write_base(base, "sd15")
    Holdings(folder, commercial=False).let_in(parse_base("someone/model"), base)
    engine = opened(networks, folder)
    default = drawn_by(engine).files
    address = "https://huggingface.co/someone/model"
    assert drawn_by(engine, base_1_5_model_repo=address).files != default
    assert drawn_by(engine).files == default
    assert drawn_by(engine, base_sdxl_model_repo="no/matter").files == default


def test_numbers_that_break_in_fp32_are_a_typed_error(
    home: Home, networks: Path, tmp_path: Path, weights: Path
) -> None:
    from limner.diffusion.base_models import parse_base

    folder, base = home(), tmp_path / "base"
    tiny.write_base(base, "sd15")
    path = base / "unet" / "diffusion_pytorch_model.safetensors"
    broken = load_file(path)
    broken["conv_out.bias"] = broken["conv_out.bias"] * torch.nan
    save_file(broken, path, metadata={"format": "pt"})
    Holdings(folder, commercial=False).let_in(parse_base("someone/broken"), base)
    with pytest.raises(BrokenPicture):
        drawn_by(opened(networks, folder), base_1_5_model_repo="someone/broken")
    assert issubclass(BrokenPicture, OurFault)


def test_auto_takes_diffusion_only_with_its_weights_and_says_why_not(
    home: Home, networks: Path
) -> None:
    def chosen(folder: Path | None, **changes: Any) -> tuple[str, str]:
        workshop = Workshop(networks, weights=folder, **changes)
        choice = choose(IP_ADAPTER_FACE_ID, "auto", workshop)
        return choice.name, choice.why

    assert IP_ADAPTER_FACE_ID in ENDPOINTS
    assert chosen(home())[0] == "diffusion"
    name, why = chosen(home("SG161222/Realistic_Vision_V4.0_noVAE"))
    assert name == "sketch"
    assert "`limner pull realistic-vision-v4`" in why
    name, why = chosen(home(accepted=False))
    assert name == "sketch"
    assert "--accept-license" in why
    assert chosen(home(), commercial=True)[0] == "sketch"
    assert choose(IP_ADAPTER_FACE_ID, "diffusion", Workshop(networks)).name == "diffusion"


def test_a_commercial_server_draws_with_nothing_that_forbids_it(home: Home, networks: Path) -> None:
    workshop = Workshop(networks, may_fetch=False, weights=home(), commercial=True)
    with pytest.raises(FeatureNotSupported, match="not for commercial use"):
        drawn_by(open_engine(workshop))


def test_every_model_type_of_the_schema_is_known() -> None:
    assert set(get_args(Names)) == set(MODEL_TYPES)


def test_a_single_file_draws_as_the_folder_it_was_made_of(
    home: Home, networks: Path, weights: Path, tmp_path: Path
) -> None:
    """Civitai's kind of file, under an address without a name; configured by the default base."""
    from limner.diffusion.base_models import parse_base

    folder, address = home(), "https://example.com/models/one.safetensors"
    holdings = Holdings(folder, commercial=False)
    base = weights / tiny.BASES["sd15"]
    write_single_file(base, tmp_path / "download")
    holdings.let_in(parse_base(address), tmp_path / "download")
    holdings.let_in(parse_base("someone/folder"), base)
    engine = opened(networks, folder)
    single = drawn_by(engine, base_1_5_model_repo=address)
    assert single.files == drawn_by(engine, base_1_5_model_repo="someone/folder").files
    with pytest.raises(FeatureNotSupported, match="SDXL-v1 draws on Stable Diffusion XL"):
        drawn_by(engine, model_type="SDXL-v1", base_sdxl_model_repo=address)


def test_guidance_in_an_interval_is_told_and_changes_nothing_for_who_does_not_ask(
    engine: DiffusionFaceId,
) -> None:
    """Of DDIM's four steps, at 751, 501, 251 and 1, σ is 4.1, 1.6, 0.7 and 0.04."""
    asked = {"num_inference_steps": 4, "num_samples": 2, "return_samples": True}
    usual = drawn_by(engine, **asked)
    everywhere = drawn_by(engine, **asked, x_fast={"guidance_interval": [0, 1000]})
    between = drawn_by(engine, **asked, x_fast={"guidance_interval": [0.28, 2]})
    assert everywhere.files == usual.files
    assert "x_fast" not in usual.said
    assert "guidance acts in 4 of 4 steps" in everywhere.said
    assert "guidance acts in 2 of 4 steps, where noise is above 0.28 and at most 2" in between.said
    assert len({*usual.files, *between.files}) == 4
    assert drawn_by(engine, **asked).files == usual.files
    for sample, file in zip(between.output.samples or [], between.files, strict=True):
        alone = {"num_inference_steps": 4, "x_fast": {"guidance_interval": [0.28, 2]}}
        assert drawn_by(engine, **alone, seed=sample.seed).files == [file]


def test_where_nothing_guides_there_is_nothing_to_rest(engine: DiffusionFaceId) -> None:
    plain = drawn_by(engine, guidance_scale=1)
    fast = drawn_by(engine, guidance_scale=1, x_fast={"guidance_interval": [0.28, 2]})
    assert fast.files == plain.files
    assert "there is no guidance to rest, it is 1 or less" in fast.said
