"""Every call of the `fal` package's ``fal.apps`` against ``limner/metronome``, as JSON.

Run by the Python of the venv that has the package; the road is in the environment. Not a test: the
tests read what it prints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import fal.apps  # pyright: ignore[reportMissingImports]
import httpx

METRONOME = "limner/metronome"


def refused(call: Callable[[], object]) -> int:
    """The status of a call that must fail."""
    try:
        call()
    except httpx.HTTPStatusError as error:
        return error.response.status_code
    raise AssertionError("the call went well")


def submit() -> Any:
    handle = fal.apps.submit(METRONOME, {"steps": 3, "pause": 0.4})
    events = list(handle.iter_events(logs=True))
    logs = [entry["message"] for event in events for entry in getattr(event, "logs", None) or []]
    return {
        "kinds": sorted({type(event).__name__ for event in events}),
        "heard": "step 1 of 3" in logs,
        "completed": type(handle.status()).__name__,
        "steps": handle.get()["steps"],
    }


def failed() -> Any:
    handle = fal.apps.submit(METRONOME, {"steps": -1})
    status = handle.status()
    return {
        "kind": type(status).__name__,
        "error": status.error,
        "result": refused(handle.fetch_result),
    }


def cancel() -> Any:
    handle = fal.apps.submit(METRONOME, {"steps": 400, "pause": 0.05})
    while isinstance(handle.status(), fal.apps.Queued):
        time.sleep(0.05)
    handle.cancel()
    while not isinstance(handle.status(), fal.apps.Completed):
        time.sleep(0.05)
    return {
        "type": handle.status().error_type,
        "result": refused(handle.fetch_result),
        "again": refused(handle.cancel),
    }


def stream() -> Any:
    lines = list(fal.apps.stream(METRONOME, {"steps": 2}, path="/stream"))
    return json.loads(lines[-1].removeprefix("data: "))["steps"]


def over_a_websocket() -> Any:
    with fal.apps.ws(METRONOME) as line:
        return [json.loads(line.run({"steps": steps}))["steps"] for steps in (1, 2)]


def realtime() -> Any:
    with fal.apps._connect(METRONOME) as line:
        answer = line.run({"steps": 2, "request_id": "mine"})
    return [answer["steps"], answer["request_id"]]


CALLS: list[Callable[[], Any]] = [submit, failed, cancel, stream, over_a_websocket, realtime]

told: dict[str, Any] = {"run": fal.apps.run(METRONOME, {"steps": 1})["steps"]}
for call in CALLS:
    told[call.__name__] = call()
print(json.dumps(told))  # noqa: T201
