"""Deleted is deleted: no byte of a request is left in files, database, bucket or log.

Both endpoints draw for a caller whose photo, words and file names stand nowhere else; then every
byte that the server, its database and its store can have written is searched for them.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from limner.sketch.instruments import Instruments
from tests.privacy.conftest import House, house
from tests.privacy.guest import FACE_ID, STICKER, Guest
from tests.privacy.traces import Traces

#: Seconds for a server to get round to it; a deadline, not a measurement.
SOON = 40.0


def draw_all(guest: Guest, **headers: str) -> list[str]:
    """Both endpoints, the photo in each of the three ways, by queue, line and webhook."""
    return [
        guest.queued(FACE_ID, guest.as_data(), **headers),
        guest.waited(STICKER, guest.as_upload(), **headers),
        guest.hooked(STICKER, guest.as_address(), **headers),
    ]


def there(house: House, traces: Traces) -> set[str]:
    """Which traces are found at all."""
    return {name for names in house.found(traces).values() for name in names}


def nothing_left(house: House, traces: Traces) -> None:
    """Search until nothing is found. Raises AssertionError with what still is."""
    deadline = time.monotonic() + SOON
    while True:
        house.upkeep()
        found = house.found(traces)
        if not found:
            return
        assert time.monotonic() < deadline, found
        time.sleep(1)


def test_a_deleted_request_is_nowhere(lasting: House, seeing: Instruments) -> None:
    guest = lasting.guest()
    guest.sees_faces(seeing.detector, seeing.recogniser)
    drawn = draw_all(guest)
    assert all(b"digitalsourcetype" in output for output in guest.outputs)
    before = there(lasting, guest.traces)
    # Otherwise there would be nothing to forget.
    assert {"prompt (utf-8)", "photo (bytes)", "photo (base64)", "output (bytes)"} <= before
    assert not any(name.startswith(("key", "face crop", "embedding")) for name in before)
    # At its most talkative, the log knows requests by their ids; its words are searched below.
    log = lasting.server.log.read_text(encoding="utf-8")
    assert told_of(log) == dict.fromkeys(drawn, ("request_done", 200))
    for request_id in drawn:
        guest.delete(request_id)
    nothing_left(lasting, guest.traces)


def test_what_is_not_to_be_stored_is_nowhere_after_its_delivery(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Without anybody asking, long before the results of others go."""
    with house("embedded", tmp_path, request) as lasting:
        guest = lasting.guest()
        draw_all(guest, x_fal_store_io="0")
        nothing_left(lasting, guest.traces)


def test_past_its_retention_a_request_is_nowhere(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What was uploaded has a time of its own; and a picture says nothing where it need not."""
    times = {"LIMNER_RETENTION": "6", "LIMNER_UPLOAD_RETENTION": "15", "LIMNER_AI_MARK": "0"}
    with house("embedded", tmp_path, request, **times) as brief:
        guest = brief.guest()
        guest.queued(STICKER, guest.as_upload())
        assert not any(b"digitalsourcetype" in output for output in guest.outputs)
        nothing_left(brief, guest.traces)


def told_of(log: str) -> dict[str, tuple[str, int]]:
    """What the log says of requests; it has nothing but JSON after the greeting."""
    lines = [line for line in log.splitlines() if not line.startswith(("Limner ", "  "))]
    said = [json.loads(line) for line in lines]
    return {
        line["request_id"]: (line["event"], line["status"]) for line in said if "request_id" in line
    }
