"""``make demo``: a sticker of the person in a photo, through fal's own unmodified Python client.

Starts Limner on a free port, points ``fal_client`` at it by its module addresses (as fal's own
tests do; ``README.md`` has the roads that need no such lines), and prints what the client hears.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import fal_client
import fal_client.client as addresses

HERE = Path(__file__).parent
SAMPLE = HERE / "astronaut.jpg"


@contextmanager
def limner_server() -> Generator[str]:
    """A Limner on a free port while the block lasts; its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "limner", "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    try:
        for line in server.stderr:
            print(line, end="")
            if found := re.search(r"http://\S+", line):
                yield found[0]
                return
        raise SystemExit("Limner did not start; what it said is above.")
    finally:
        server.terminate()
        server.communicate()


def point_client_at(base: str) -> None:
    """Everything fal_client calls goes to ``base`` instead of fal."""
    addresses.RUN_URL_FORMAT = f"{base}/fal.run/"
    addresses.QUEUE_URL_FORMAT = f"{base}/queue.fal.run/"
    addresses.REST_URL = f"{base}/rest.fal.ai"
    addresses.CDN_URL = f"{base}/v3.fal.media"


def show(update: fal_client.Status, seen: list[str]) -> None:
    """Print what is new in a status update."""
    if isinstance(update, fal_client.Queued):
        told = f"  in the queue, {update.position} in front"
        if told not in seen:
            print(told)
            seen.append(told)
    elif isinstance(update, fal_client.InProgress | fal_client.Completed):
        for entry in update.logs or []:
            if entry["message"] in seen:
                continue
            progress = entry["labels"].get("progress")
            share = f"{progress:4.0%}" if progress is not None else "    "
            print(f"  {share}  {entry['message']}")
            seen.append(entry["message"])


def main(photo: Path) -> None:
    """Make the two pictures of ``photo``."""
    started = time.monotonic()
    with limner_server() as base:
        point_client_at(base)
        client = fal_client.SyncClient(key="demo:none-needed-on-this-machine")
        seen: list[str] = []
        result = client.subscribe(
            "fal-ai/face-to-sticker",
            arguments={"prompt": "a person", "image_url": client.upload_file(photo), "seed": 7},
            with_logs=True,
            on_queue_update=lambda update: show(update, seen),
        )
        pictures = {
            "sticker.png": result["sticker_image"],
            "sticker-cutout.png": result["sticker_image_background_removed"],
        }
        for name, picture in pictures.items():
            with urllib.request.urlopen(picture["url"]) as answer:
                (HERE / name).write_bytes(answer.read())
            print(HERE / name)
    print(f"{time.monotonic() - started:.1f} s from starting the server to stopping it")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE)
