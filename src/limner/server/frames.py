"""Messages of a websocket: msgpack in binary frames, JSON in text frames, answered in kind.

Whatever came in is made plain JSON here, so that nobody behind knows how it travelled.
Knows the two encodings; knows no endpoint and no request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]
from pydantic_core import from_json, to_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from limner.errors import DOCS_URL, InvalidInput

Frame = str | bytes

# The package has no types.
unpack = cast("Callable[[bytes], Any]", msgpack.unpackb)  # pyright: ignore
pack = cast("Callable[[Any], bytes]", msgpack.packb)  # pyright: ignore


@dataclass(frozen=True, slots=True)
class Message:
    """One map from a client."""

    body: dict[str, Any]
    #: Did it come as msgpack? Then so does its answer.
    packed: bool


async def receive(socket: WebSocket) -> Frame:
    """The next frame. Raises WebSocketDisconnect."""
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event["code"], event.get("reason"))
    text: str | None = event.get("text")
    return text if text is not None else event["bytes"]


def read(frame: Frame) -> Message:
    """A frame as a map. Raises InvalidInput."""
    packed = isinstance(frame, bytes)
    try:
        if packed:
            # Through JSON and back: binary values become base64, and nothing else is left.
            # As little as JSON may it say NaN, which would be equal to nothing ever after.
            body = from_json(to_json(unpack(frame), bytes_mode="base64"), allow_inf_nan=False)
        else:
            body = from_json(frame, allow_inf_nan=False)
    except ValueError:
        raise _invalid(f"The message is not valid {'msgpack' if packed else 'JSON'}") from None
    if not isinstance(body, dict):
        raise _invalid("The message is not a map")
    return Message(cast("dict[str, Any]", body), packed)


def _invalid(msg: str) -> InvalidInput:
    kind = "json_invalid"
    return InvalidInput([{"loc": ["body"], "msg": msg, "type": kind, "url": DOCS_URL + kind}])


async def send(socket: WebSocket, body: dict[str, Any], *, packed: bool) -> None:
    """Send a map in the encoding its asker speaks."""
    if packed:
        await socket.send_bytes(pack(body))
    else:
        await send_json(socket, body)


async def send_json(socket: WebSocket, body: Any) -> None:
    """Send a JSON document as text."""
    await socket.send_text(json.dumps(body, separators=(",", ":")))
