"""Fetching weights from the hub: what is wanted, whether there is room, and that it is the same.

The hub's own client does the talking: its cache is filled and used, ``HF_ENDPOINT``, ``HF_TOKEN``
and ``HF_HUB_OFFLINE`` mean what they mean everywhere, a cut connection is taken up where it broke.
Knows the hub and files; knows no network's inside.
"""

# The hub client's own annotations are partial.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from limner.diffusion.base_models import BaseRef, base_kind, check_folder
from limner.diffusion.holdings import Holdings, Pin
from limner.diffusion.quota import make_room
from limner.diffusion.weight import GB, File, Weight, base_files
from limner.errors import NetworkMissing, NetworkUnfit

#: Bytes of the disk that are never filled.
RESERVE = 1 * GB
#: Largest base that an operator may let in. SDXL in fp32 has 14 GB.
LARGEST_BASE = 24 * GB
#: And the largest file of one: SDXL's UNet in fp32 has 10 GB, a single-file checkpoint 14.
LARGEST_FILE = 16 * GB

#: What a diffusers folder is known by.
INDEX = File("model_index.json")

#: How the hub's cache names a folder: by its commit.
COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file of a repository that is not here yet, and its bytes as the hub tells."""

    repo: str
    revision: str
    file: File
    size: int


def missing(repo: str, revision: str, files: Iterable[File]) -> list[Wanted]:
    """Which of the files the hub's cache lacks, at the commit that ``revision`` is now.

    Raises NetworkMissing if the hub cannot tell.
    """
    wanted: list[Wanted] = []
    for file in files:
        # All of one commit, also when the branch moves between two files.
        with _told(repo, file.path):
            plan = hf_hub_download(repo, file.path, revision=revision, dry_run=True)
        if isinstance(plan, str):
            continue
        revision = plan.commit_hash or revision
        if plan.will_download:
            wanted.append(Wanted(repo, revision, file, plan.file_size or 0))
    return wanted


def room_for(wanted: Sequence[Wanted], free: int | None = None) -> int:
    """The bytes of ``wanted``. Raises NetworkMissing if the disk with the cache has no room.

    ``free``: the disk's free bytes; None looks.
    """
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free if free is None else free
    needed = sum(each.size for each in wanted)
    if needed + RESERVE > free:
        raise NetworkMissing(
            f"{needed / GB:.1f} GB are needed and {free / GB:.1f} GB are free in {cache}."
            " Free some, or set HF_HOME to a larger disk."
        )
    return needed


def fetch(each: Wanted, advance: Callable[[int], None] | None = None) -> Path:
    """Fetch one file and verify it. Its path in the cache.

    ``advance``: called with the size of each piece as it arrives, less than 0 when pieces must
    come again; None shows the hub's own progress bar. What it raises ends the download, and
    nothing of the file is kept.

    Raises NetworkMissing if it cannot be had, NetworkUnfit if other bytes came than were promised.
    """
    with _told(each.repo, each.file.path):
        bar = None if advance is None else _silent(advance)
        path = Path(
            hf_hub_download(each.repo, each.file.path, revision=each.revision, tqdm_class=bar)
        )
    if is_same(path, each.file.sha256) is False:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise NetworkUnfit(
            f"{each.repo}: {each.file.path} came with another sha256 than is published for it. It"
            " was removed; pull it again."
        )
    return path


def _silent(advance: Callable[[int], None]) -> type[Any]:
    """A progress bar for the hub's client that shows nothing and tells ``advance``."""

    class Silent(tqdm):  # pyright: ignore[reportMissingTypeArgument]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})
            advance(int(options.get("initial") or 0))

        def update(self, n: float | None = 1) -> None:
            advance(int(n or 0))

    return Silent


def is_same(path: Path, sha256: str | None) -> bool | None:
    """Whether a file has this hash, or else the one by which the hub's cache keeps it.

    None if neither is known.
    """
    blob = path.resolve()
    expected = sha256 or (blob.name if _SHA256.fullmatch(blob.name) else None)
    if expected is None:
        return None
    with blob.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == expected


def wanted_of(weight: Weight, here: Holdings) -> list[Wanted]:
    """What a weight still lacks here, at the commit it was pinned to. Raises NetworkMissing."""
    if not weight.repo:
        raise NetworkMissing(f"{weight.name} is published nowhere: {weight.what}.")
    revision = here.revision(weight.name, weight.revision)
    return missing(weight.repo, revision, weight.files)


def pin(weight: Weight, here: Holdings, came: Sequence[Wanted]) -> None:
    """Pin a weight that the table knows by a branch only to what ``came`` of it."""
    commit = came[0].revision if came else here.revision(weight.name, weight.revision)
    folder = here.repository(weight.repo, commit, weight.files)
    if not weight.is_pinned and folder and (found := pin_of(folder, weight.files)):
        here.pin(weight.name, found)


def pin_of(folder: Path, files: Iterable[File]) -> Pin | None:
    """What lies in a folder of the hub's cache, to be exactly this ever after.

    None for a folder of the operator's own, which has no commit.
    """
    if folder.parent.name != "snapshots" or not COMMIT.fullmatch(folder.name):
        return None
    return Pin(commit=folder.name, files={f.path: _sha256(folder / f.path) for f in files})


def _sha256(path: Path) -> str:
    """The hash that the hub promised for a large file and ``fetch`` verified; of a small one its
    own, since the hub keeps those by another."""
    blob = path.resolve()
    if _SHA256.fullmatch(blob.name):
        return blob.name
    with blob.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pull_base(ref: BaseRef, here: Holdings, quota: int) -> Path:
    """Fetch a base of the operator's choice, check that it is one, and let it in; where it lies.

    safetensors only. ``quota``: bytes that fetched bases may have in all; those used longest ago
    go first. Raises NetworkMissing, NetworkUnfit.
    """
    if not ref.repo:
        raise NetworkMissing(
            f"{ref.name} is not on Hugging Face. Fetch it yourself, then"
            f" `limner models add {ref.name} FILE`."
        )
    revision = here.revision(ref.name, ref.revision)
    if ref.file:
        files: tuple[File, ...] = (File(ref.file),)
    else:
        index = _fetched(ref, missing(ref.repo, revision, [INDEX]), [INDEX], revision)
        revision = index.name
        files = base_files(xl=check_folder(index), vae=True)
    wanted = missing(ref.repo, revision, files)
    size = sum(each.size for each in wanted)
    if size:
        make_room(here, quota, size, keep=ref.name)
    folder = _fetched(ref, wanted, files, revision)
    where = folder / ref.file if ref.file else folder
    base_kind(where)
    if pin := pin_of(folder, files):
        here.pin(ref.name, pin)
    here.let_in(ref, where)
    if size:
        here.has_fetched(ref.name, size)
    return where


def _fetched(ref: BaseRef, wanted: Sequence[Wanted], files: Sequence[File], revision: str) -> Path:
    """The folder of the repository with these files, all of one commit."""
    large = [each for each in wanted if each.size > LARGEST_FILE]
    if large:
        most = f"{LARGEST_FILE / GB:.0f} GB"
        raise NetworkUnfit(f"{ref.name}: {large[0].file.path} has more than {most}.")
    if room_for(wanted) > LARGEST_BASE:
        raise NetworkUnfit(f"{ref.name} has more than {LARGEST_BASE / GB:.0f} GB.")
    for each in wanted:
        fetch(each)
    revision = wanted[0].revision if wanted else revision
    path = Path(hf_hub_download(ref.repo, files[0].path, revision=revision))
    return path.parents[len(Path(files[0].path).parts) - 1]


@contextmanager
def _told(repo: str, path: str) -> Generator[None]:
    """The hub client's many errors, in one operator's words: what happened, what to do."""
    try:
        yield
    except GatedRepoError as reason:
        raise NetworkMissing(
            f"{repo} is gated. Accept its terms at https://huggingface.co/{repo}, then set HF_TOKEN"
            " to a token of that account."
        ) from reason
    except RepositoryNotFoundError as reason:
        raise NetworkMissing(
            f"{repo} does not exist or is private. If it is yours, set HF_TOKEN."
        ) from reason
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as reason:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub cannot be reached"
        raise NetworkMissing(f"{repo}: {path} is not in the cache, and {why}.") from reason
    except (EntryNotFoundError, RevisionNotFoundError) as reason:
        raise NetworkMissing(f"{repo} has no file {path} at that revision.") from reason
    except HfHubHTTPError as reason:
        raise NetworkMissing(f"{repo}: the hub refused {path}: {reason}") from reason
    except httpx2.HTTPError as reason:
        raise NetworkMissing(
            f"{repo}: the hub broke off at {path} ({type(reason).__name__}). Pull it again: what is"
            " here already is kept."
        ) from reason
    except OSError as reason:
        if reason.errno == errno.ENOSPC:
            raise NetworkMissing(f"The disk is full: {constants.HF_HUB_CACHE}.") from reason
        raise NetworkMissing(f"{repo}: {path} could not be fetched: {reason}") from reason
