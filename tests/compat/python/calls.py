"""Every documented call of whichever `fal-client` can be imported, each written once for both kinds
of client. Made by ``on_road.py``, read by the tests; imported when the road is laid.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fal_client
import httpx
from PIL import Image

METRONOME = "limner/metronome"
ROAD, FOLDER = sys.argv[1], Path(sys.argv[3])

Client = Any  # fal_client.SyncClient or fal_client.AsyncClient


async def got(value: Any) -> Any:
    """The value, whether it has to be awaited or not."""
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> list[Any]:
    """All items of either kind of iterator."""
    return [item async for item in stream] if hasattr(stream, "__aiter__") else list(stream)


@asynccontextmanager
async def opened(line: Any) -> AsyncIterator[Any]:
    """Either kind of context manager."""
    if hasattr(line, "__aenter__"):
        async with line as inside:
            yield inside
    else:
        with line as inside:
            yield inside


async def until_completed(handle: Any) -> Any:
    """The status once it is Completed."""
    while not isinstance(status := await got(handle.status(with_logs=True)), fal_client.Completed):
        await asyncio.sleep(0.05)
    return status


async def refused(call: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """The client's own error of a call that must fail."""
    try:
        await got(call(*arguments))
    except fal_client.FalClientHTTPError as error:
        return {"status": error.status_code, "body": error.response.json()}
    raise AssertionError("the call went well")


async def fetch(url: str) -> httpx.Response:
    """A picture or an upload, by the road of the client; in a thread, because loops are shared."""
    return (await asyncio.to_thread(httpx.get, url)).raise_for_status()


async def run(client: Client) -> Any:
    result = await got(client.run(METRONOME, {"steps": 2}, timeout=60, hint="warm"))
    return {"steps": result["steps"], "picture": (await fetch(result["image"]["url"])).text}


async def run_wrong(client: Client) -> Any:
    return await refused(client.run, METRONOME, {"steps": -1})


async def subscribe(client: Client) -> Any:
    updates: list[Any] = []
    ids: list[str] = []
    result = await got(
        client.subscribe(
            METRONOME,
            {"steps": 3, "pause": 0.5},
            with_logs=True,
            on_enqueue=ids.append,
            on_queue_update=updates.append,
        )
    )
    running = [update for update in updates if isinstance(update, fal_client.InProgress)]
    logs = [entry["message"] for update in running for entry in update.logs or []]
    completed = isinstance(updates[-1], fal_client.Completed)
    return {"steps": result["steps"], "logs": logs, "completed": completed, "ids": len(ids)}


async def subscribe_wrong(client: Client) -> Any:
    return await refused(client.subscribe, METRONOME, {"steps": -1})


async def client_timeout(client: Client) -> Any:
    # On a busy machine the submit may take longer than that: then there is nothing to cancel yet.
    for patience in (3, 9, 27):
        arguments = {"steps": 20 * patience, "pause": 0.2}
        try:
            await got(client.subscribe(METRONOME, arguments, client_timeout=patience))
        except fal_client.FalClientTimeoutError as error:
            if error.request_id is not None:
                handle = await got(client.get_handle(METRONOME, error.request_id))
                await until_completed(handle)
                result = await refused(handle.get)
                return {"in_time": error.timeout == patience, "result": result}
    raise AssertionError("it did not time out")


async def asked_for(client: Client) -> Any:
    """Everything that may be said beside the input; the metronome's answer when it is heeded."""
    headers = {
        "X-Fal-Store-IO": "0",
        "x-fal-no-retry": "1",
        "X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": 90}),
    }
    subscribed = await got(
        client.subscribe(
            METRONOME, {"steps": 1}, hint="warm", priority="normal", start_timeout=60,
            headers=headers,
        )
    )  # fmt: skip
    ran = await got(
        client.run(METRONOME, {"steps": 1}, hint="warm", start_timeout=60, headers=headers)
    )
    pictures = [await fetch(answer["image"]["url"]) for answer in (subscribed, ran)]
    return [lives(picture) for picture in pictures]


def lives(answer: httpx.Response) -> int:
    """Seconds that a file still has, as its Cache-Control says."""
    return int(answer.headers["cache-control"].split("max-age=")[1].split(",")[0])


async def submit(client: Client) -> Any:
    handle = await got(
        client.submit(
            METRONOME,
            {"steps": 2, "pause": 0.1},
            hint="warm",
            priority="low",
            start_timeout=30,
            webhook_url="https://receiver.invalid/hook?a=b&c=d",
            headers={"X-Fal-Store-IO": "1"},
        )
    )
    found = await got(client.get_handle(METRONOME, handle.request_id))
    parts = ("request_id", "response_url", "status_url", "cancel_url")
    events = await each(handle.iter_events(with_logs=True, interval=0.05))
    completed = await until_completed(handle)
    without_logs = await got(client.status(METRONOME, handle.request_id))
    return {
        "same": [getattr(found, part) == getattr(handle, part) for part in parts],
        "urls": [handle.response_url, handle.status_url, handle.cancel_url],
        "request_id": handle.request_id,
        "kinds": sorted({type(event).__name__ for event in events}),
        "last_log": completed.logs[-1]["message"],
        "inference_time": completed.metrics["inference_time"],
        "logs_not_asked_for": without_logs.logs,
        "by_handle": (await got(handle.get()))["steps"],
        "by_client": (await got(client.result(METRONOME, handle.request_id)))["steps"],
    }


async def cancel(client: Client) -> Any:
    handle = await got(client.submit(METRONOME, {"steps": 400, "pause": 0.05}))
    while isinstance(await got(handle.status()), fal_client.Queued):
        await asyncio.sleep(0.05)
    await got(client.cancel(METRONOME, handle.request_id))
    await until_completed(handle)
    return {"result": await refused(handle.get), "again": await refused(handle.cancel)}


async def stream(client: Client) -> Any:
    events = await each(client.stream(METRONOME, {"steps": 3, "pause": 0.05}))
    return {"messages": [event.get("message") for event in events], "last": events[-1]["steps"]}


async def talk(line: Any) -> Any:
    """Two messages, one of them wrong, over an open realtime connection."""
    async with opened(line) as connection:
        await got(connection.send({"steps": 2, "request_id": "mine"}))
        answer = await got(connection.recv())
        await got(connection.send({"steps": -1}))
        try:
            await got(connection.recv())
        except RuntimeError as error:
            return {"answer": answer, "kind": type(error).__name__, "error": error.error}  # pyright: ignore
    raise AssertionError("wrong input went well")


async def realtime(client: Client) -> Any:
    return await talk(client.realtime(METRONOME, max_buffering=5))


async def realtime_by_key(client: Client) -> Any:
    return await talk(client.realtime(METRONOME, use_jwt=False))


async def realtime_out_of_scope(client: Client) -> Any:
    try:
        async with opened(client.realtime("fal-ai/nothing-here")):
            raise AssertionError("the door was open")
    except Exception as error:  # noqa: BLE001 - whatever the client makes of it
        return type(error).__name__


async def upload(client: Client) -> Any:
    content = bytes(range(256)) * 4000
    url = await got(client.upload(content, "image/png", file_name="face.png"))
    result = await got(client.run(METRONOME, {"steps": 0, "picture": url}))
    return {
        "url": url,
        "same": (await fetch(url)).content == content,
        "read_by_the_worker": result["read"],
    }


async def upload_file(client: Client) -> Any:
    path = FOLDER / f"hello-{type(client).__name__}.txt"
    path.write_text("hello")
    answer = await fetch(await got(client.upload_file(path)))
    return {"text": answer.text, "type": answer.headers["content-type"]}


async def upload_image(client: Client) -> Any:
    url = await got(client.upload_image(Image.new("RGB", (3, 2), "red"), format="png"))
    answer = await fetch(url)
    return {"png": answer.content[:4].hex(), "type": answer.headers["content-type"]}


async def upload_by_the_fallback(client: Client) -> Any:
    url = await got(client.upload(b"fallback", "text/plain", "f.txt", repository="fal"))
    return (await fetch(url)).text


async def upload_with_lifecycle(client: Client) -> Any:
    if not hasattr(fal_client, "StorageSettings"):
        return None
    rule = fal_client.StorageACLRule(user="somebody", decision="allow")
    acl = fal_client.StorageACL(default="forbid", rules=[rule])
    said: tuple[Any, ...] = ("never", "immediate", "1h", "1d", "7d", "30d", "1y", 90, None)
    found: dict[str, int] = {}
    for expires_in in said:
        settings = fal_client.StorageSettings(expires_in=expires_in, initial_acl=acl)
        url = await got(client.upload(b"kept", "text/plain", lifecycle=settings))
        found[str(expires_in)] = lives(await fetch(url))
    return found


async def encoded(client: Client) -> Any:
    path = FOLDER / f"encoded-{type(client).__name__}.bin"
    path.write_bytes(b"12345")
    urls = [
        fal_client.encode(b"123", "image/png"),
        fal_client.encode_file(path),
        fal_client.encode_image(Image.new("RGB", (3, 2))),
    ]
    results = [await got(client.run(METRONOME, {"steps": 0, "picture": url})) for url in urls]
    return [result["read"] for result in results]


async def multipart(client: Client) -> Any:
    # A hundred megabytes each time: one kind of client on one road, the other on the other.
    if isinstance(client, fal_client.SyncClient) != (ROAD == "proxy"):
        return None
    path = FOLDER / "large.bin"
    block = bytes(range(256)) * 4096
    with path.open("wb") as out:
        for number in range(101):
            out.write(bytes([number]) + block[1:])
    return (await fetch(await got(client.upload_file(path)))).content == path.read_bytes()


CALLS: list[Callable[[Client], Awaitable[Any]]] = [
    multipart, client_timeout, run, run_wrong, subscribe, subscribe_wrong, submit, asked_for,
    cancel, stream,
    realtime, realtime_by_key, realtime_out_of_scope, upload, upload_file, upload_image,
    upload_by_the_fallback, upload_with_lifecycle, encoded,
]  # fmt: skip

#: Road C cannot bend ``rest.fal.ai`` and ``v3.fal.media`` (wire.md 1.4).
BEYOND_HOST_VARIABLES = {
    multipart, realtime, realtime_out_of_scope, upload, upload_file, upload_image,
    upload_by_the_fallback, upload_with_lifecycle,
}  # fmt: skip
