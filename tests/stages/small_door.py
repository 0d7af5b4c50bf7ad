"""A door that trusts the local network, is small, and is soon out of patience."""

from __future__ import annotations

import pytest

from limner.errors import FileDownloadError
from limner.stages.fetch import Door

MOST = 1000
PICTURE = b"\x89PNG and more"
SECRET = "/secret/path?token=hush"


def door(**changes: object) -> Door:
    """A door that trusts the local network, is small, and is soon out of patience."""
    said: dict[str, object] = {"allow_private": True, "max_bytes": MOST, "timeout": 5.0}
    return Door(**(said | changes))  # pyright: ignore[reportArgumentType]


def refusal(url: str, **changes: object) -> str:
    """What the caller is told; never more than the host's name."""
    with pytest.raises(FileDownloadError) as refused:
        door(**changes).read(url)
    message = refused.value.msg
    assert not any(word in message for word in ("secret", "hush", "Errno", "Traceback"))
    return message
