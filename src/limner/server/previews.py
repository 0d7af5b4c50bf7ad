"""Small pictures of a request that still runs, as the streams tell them.

fal's events have no such field; its clients pass on whatever an event holds, and a strict server
leaves it out. Best effort: whoever looks late sees only the latest. Knows data URIs; knows no
stream and no engine.
"""

from __future__ import annotations

import base64

from limner.requests.request import Request


def preview_uri(request: Request) -> str | None:
    """The latest preview as a data URI; None when there is none, as of every ended request."""
    if request.preview is None:
        return None
    return f"data:image/webp;base64,{base64.b64encode(request.preview).decode()}"


class Previews:
    """What one listener was told of one request's previews."""

    def __init__(self, strict: bool) -> None:
        """``strict``: tell of none."""
        self._strict = strict
        self._told: bytes | None = None

    def news(self, request: Request) -> dict[str, str]:
        """``preview``, where there is one that this listener was not told yet; else nothing."""
        uri = preview_uri(request)
        if self._strict or uri is None or request.preview == self._told:
            return {}
        self._told = request.preview
        return {"preview": uri}
