"""What Limner holds in memory when fifty large photos come at once: ``python -m bench.memory``.

A real server with one worker, fifty 12-megapixel JPEGs (or as many as the argument says) submitted
together, all drawn to the end.
Told are the highest resident sizes that the kernel saw (``VmHWM``), of the server and of its
worker. Linux only. Knows HTTP and ``/proc``; knows nothing of how anything is drawn.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from tests.rig.process import Server

FACES = Path(__file__).parents[1] / "tests" / "faces"
PHOTOS = (
    "01_astronaut_frontal.png",
    "03_obama_frontal_dark_skin.jpg",
    "04_obama_speaking.jpg",
    "06_biden_closeup.jpg",
)
#: A usual phone's pictures, and how many come at once.
MEGAPIXELS, AT_ONCE = 12, 50
QUEUE = "/queue.fal.run/fal-ai/face-to-sticker"
#: Bytes in a kB of /proc, and in the MB that are told.
KIB, MB = 1024, 1_000_000


def photo(name: str) -> bytes:
    """A test photo as a phone would have taken it: 12 megapixels, a little noise, JPEG 90."""
    small = Image.open(FACES / name).convert("RGB")
    scale = (MEGAPIXELS * 1e6 / (small.width * small.height)) ** 0.5
    size = (round(small.width * scale), round(small.height * scale))
    large = np.asarray(small.resize(size, Image.Resampling.BICUBIC), np.int16)
    grain = np.random.default_rng(0).integers(-6, 7, (*large.shape[:2], 1), np.int16)
    noisy = Image.fromarray((large + grain).clip(0, 255).astype(np.uint8))
    encoded = io.BytesIO()
    noisy.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def peak(pid: int, what: str = "VmHWM") -> float:
    """A process's resident size in MB, the highest (``VmHWM``) or the present one (``VmRSS``)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * KIB / MB
    raise ValueError(f"{what} is not told of process {pid}")


def storm(server: Server, photos: list[bytes], count: int, *, inline: bool) -> None:
    """Submit ``count`` requests together and wait for every one to succeed."""
    with httpx2.Client(base_url=server.base, timeout=600) as http:
        urls = [_inline(each) if inline else _uploaded(http, each) for each in photos]

        def submit(number: int) -> dict[str, Any]:
            said = {"prompt": "a person", "image_url": urls[number % len(urls)], "seed": number}
            return http.post(QUEUE, json=said).raise_for_status().json()

        with ThreadPoolExecutor(count) as pool:
            accepted = list(pool.map(submit, range(count)))
        for one in accepted:
            while http.get(one["status_url"]).raise_for_status().json()["status"] != "COMPLETED":
                time.sleep(0.5)
            answer = http.get(one["response_url"])
            assert answer.status_code == 200, answer.text


def _inline(encoded: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def _uploaded(http: httpx2.Client, encoded: bytes) -> str:
    """The URL of a photo uploaded as fal's clients do."""
    wish = {"content_type": "image/jpeg", "file_name": "photo.jpg"}
    told = http.post("/rest.fal.ai/storage/upload/initiate", json=wish).raise_for_status().json()
    headers = {"content-type": "image/jpeg"}
    http.put(told["upload_url"], content=encoded, headers=headers).raise_for_status()
    return told["file_url"]


def main() -> None:
    """One storm of uploaded photos and one of photos inside the requests, each on a new server."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("count", nargs="?", type=int, default=AT_ONCE, help="requests at once")
    count = int(parser.parse_args().count)
    photos = [photo(name) for name in PHOTOS]
    size = sum(map(len, photos)) / len(photos) / MB
    title = f"{count} photos of {MEGAPIXELS} megapixels ({size:.1f} MB each) at once, one worker"
    table = Table(title=title, title_justify="left")
    for heading in ("MB resident", "server before", "server peak", "worker peak", "seconds"):
        table.add_column(heading, justify="left" if heading == "MB resident" else "right")
    for inline in (False, True):
        with tempfile.TemporaryDirectory(prefix="limner-bench-") as folder:
            server = Server(Path(folder) / "home", {"LIMNER_LEASE": "10"})
            try:
                before, began = peak(server.process.pid, "VmRSS"), time.monotonic()
                storm(server, photos, count, inline=inline)
                taken = time.monotonic() - began
                (worker,) = server.workers()
                row = (before, peak(server.process.pid), peak(worker), taken)
                name = "photos in the requests" if inline else "photos uploaded before"
                table.add_row(name, *(f"{value:.0f}" for value in row))
            finally:
                server.stop()
    Console(width=100).print(table)


if __name__ == "__main__":
    if sys.platform != "linux":
        raise SystemExit("bench.memory reads /proc: Linux only.")
    main()
