"""The recorded table: what each client sends in each call (wire.md 2.1, 2.2).

A row is method, address, the headers that mean something, and the body. ``{id}``, ``{name}`` and
``{token}`` stand for what differs from run to run, ``{client}`` for the client's name and version.
"""

from __future__ import annotations

from typing import Any

import httpx
import websockets.http11

Row = tuple[str, str, dict[str, str], Any]

METRONOME = "limner/metronome"
QUEUE = "queue.fal.run/limner/metronome"

PYTHON = {"authorization": "Key kid:ksecret", "accept": "*/*", "user-agent": "{client}"}
JSON = {"content-type": "application/json"}
HTTPX = f"python-httpx/{httpx.__version__}"
WEBSOCKETS = websockets.http11.USER_AGENT
LIFECYCLE = '{"expiration_duration_seconds": 3600}'

#: The one call without the client's own name; wire.md 1.2.
CDN_TOKEN: Row = (
    "POST",
    "rest.fal.ai/storage/auth/token?storage_type=fal-cdn-v3",
    {**PYTHON, **JSON, "accept": "application/json", "user-agent": HTTPX},
    {},
)
BY_TOKEN = {**PYTHON, "authorization": "Bearer {token}"}
HELLO = {**BY_TOKEN, "content-type": "text/plain", "x-fal-file-name": "hello.txt"}
BINARY = {**BY_TOKEN, "user-agent": "{client in parts}", "content-type": "application/octet-stream"}

PYTHON_TABLE: dict[str, list[Row]] = {
    "run": [
        (
            "POST",
            "fal.run/limner/metronome",
            {**PYTHON, **JSON, "x-fal-runner-hint": "warm"},
            {"steps": 0},
        )
    ],
    "stream": [
        (
            "POST",
            "fal.run/limner/metronome/stream",
            {**PYTHON, **JSON, "accept": "text/event-stream", "cache-control": "no-store"},
            {"steps": 0},
        )
    ],
    "submit, result, status, cancel": [
        (
            "POST",
            f"{QUEUE}?fal_webhook=https%3A%2F%2Fme.invalid%2Fhook%3Fa%3Db",
            {
                **PYTHON, **JSON, "x-fal-runner-hint": "warm", "x-fal-queue-priority": "low",
                "x-fal-request-timeout": "30.0", "x-fal-store-io": "1",
            },
            {"steps": 0},
        ),
        ("GET", f"{QUEUE}/requests/{{id}}/status?logs=false", PYTHON, ""),
        ("GET", f"{QUEUE}/requests/{{id}}", PYTHON, ""),
        ("GET", f"{QUEUE}/requests/{{id}}/status?logs=true", PYTHON, ""),
        ("PUT", f"{QUEUE}/requests/{{id}}/cancel", PYTHON, ""),
    ],
    # One more status without logs after it has ended; wire.md 2.1.
    "subscribe": [
        ("POST", QUEUE, {**PYTHON, **JSON}, {"steps": 0}),
        ("GET", f"{QUEUE}/requests/{{id}}/status?logs=true", PYTHON, ""),
        ("GET", f"{QUEUE}/requests/{{id}}/status?logs=false", PYTHON, ""),
        ("GET", f"{QUEUE}/requests/{{id}}", PYTHON, ""),
    ],
    "upload": [CDN_TOKEN, ("POST", "v3.fal.media/files/upload", HELLO, "hello")],
    "upload with lifecycle": [
        CDN_TOKEN,
        (
            "POST",
            "v3.fal.media/files/upload",
            {
                **HELLO,
                "x-fal-object-lifecycle": LIFECYCLE,
                "x-fal-object-lifecycle-preference": LIFECYCLE,
            },
            "hello",
        ),
    ],
    "upload by the fallback repository": [
        (
            "POST",
            "rest.fal.ai/storage/upload/initiate?storage_type=gcs",
            {**PYTHON, **JSON, "accept": "application/json"},
            {"file_name": "hello.txt", "content_type": "text/plain"},
        ),
        # The client's key leaks to the upload URL; wire.md 2.1.
        (
            "PUT",
            "v3.fal.media/uploads/{name}",
            {**PYTHON, "content-type": "text/plain"},
            "hello",
        ),
    ],
    # 0.13.2 names itself otherwise in these alone.
    "upload in parts": [
        CDN_TOKEN,
        (
            "POST",
            "v3.fal.media/files/upload/multipart",
            {**BINARY, "accept": "application/json", "x-fal-file-name": "large.bin"},
            "",
        ),
        *(
            ("PUT", f"v3.fal.media/files/{{name}}/multipart/{{upload}}/{number}", BINARY, size)
            for number, size in enumerate([*["10485760 bytes"] * 10, "1048576 bytes"], 1)
        ),
        (
            "POST",
            "v3.fal.media/files/{name}/multipart/{upload}/complete",
            {**BINARY, **JSON},
            {"parts": list(range(1, 12))},
        ),
    ],
    "realtime": [
        (
            "POST",
            "rest.fal.ai/tokens/",
            {**PYTHON, **JSON},
            {"allowed_apps": ["metronome"], "token_expiration": 120},
        ),
        (
            "GET",
            "fal.run/limner/metronome/realtime?fal_jwt_token={token}&max_buffering=5",
            {"user-agent": WEBSOCKETS},
            "",
        ),
    ],
}  # fmt: skip

NODE = {
    "authorization": "Key any:key",
    "accept": "application/json",
    "content-type": "application/json",
    "user-agent": "@fal-ai/client/1.10.1",
}
NORMAL = {**NODE, "x-fal-queue-priority": "normal"}
SSE = {**NODE, "accept": "application/json, text/event-stream"}

BARE = {"accept": "*/*", "user-agent": "node"}
READ_BACK: Row = ("GET", "v3.fal.media/files/{name}", BARE, "")
#: Everything that may be said beside an input; `run` knows only two of them.
BESIDE_RUN = {
    **NODE,
    "x-fal-request-timeout": "60",
    "x-fal-object-lifecycle-preference": '{"expiration_duration_seconds":90,"initial_acl":'
    '{"default":"forbid","rules":[{"user":"somebody","decision":"allow"}]}}',
}
BESIDE = {**BESIDE_RUN, "x-fal-queue-priority": "low", "x-fal-runner-hint": "warm"}

NODE_TABLE: dict[str, tuple[list[Any], list[Row]]] = {
    "run": (
        ["run", METRONOME, {"steps": 0}],
        [("POST", "fal.run/limner/metronome", NODE, {"steps": 0})],
    ),
    "stream": (
        ["stream", METRONOME, {"steps": 0}],
        [("POST", "fal.run/limner/metronome/stream", SSE, {"steps": 0})],
    ),
    "subscribe by polling": (
        ["subscribe", METRONOME, {"steps": 0}],
        [
            ("POST", QUEUE, NORMAL, {"steps": 0}),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=1", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
        ],
    ),
    "subscribe by streaming": (
        ["subscribe", METRONOME, {"steps": 0}, {"mode": "streaming"}],
        [
            ("POST", QUEUE, NORMAL, {"steps": 0}),
            ("GET", f"{QUEUE}/requests/{{id}}/status/stream?logs=1", SSE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
        ],
    ),
    "timeout": (
        ["timeout", METRONOME, {"steps": 400, "pause": 0.05}, 1000],
        [
            ("POST", QUEUE, NORMAL, {"steps": 400, "pause": 0.05}),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=0", NODE, ""),
            ("PUT", f"{QUEUE}/requests/{{id}}/cancel", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=0", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
        ],
    ),
    "cancel": (
        ["cancel", METRONOME, {"steps": 400, "pause": 0.05}],
        [
            ("POST", QUEUE, NORMAL, {"steps": 400, "pause": 0.05}),
            ("PUT", f"{QUEUE}/requests/{{id}}/cancel", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=0", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
            ("PUT", f"{QUEUE}/requests/{{id}}/cancel", NODE, ""),
        ],
    ),
    "what is said beside the input": (
        ["askedFor", METRONOME, {"steps": 0}],
        [
            ("POST", QUEUE, BESIDE, {"steps": 0}),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=0", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
            ("POST", QUEUE, BESIDE, {"steps": 0}),
            ("GET", f"{QUEUE}/requests/{{id}}/status/stream?logs=0", SSE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
            ("POST", "fal.run/limner/metronome", BESIDE_RUN, {"steps": 0}),
            READ_BACK,
        ],
    ),
    "upload with lifecycle": (
        ["uploadFor", ["1h"]],
        [
            (
                "POST",
                "rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
                {
                    **NODE,
                    "x-fal-object-lifecycle": '{"expiration_duration_seconds":3600,'
                    '"initial_acl":{"default":"hide"}}',
                },
                {"content_type": "text/plain", "file_name": "{now}.plain"},
            ),
            ("PUT", "v3.fal.media/uploads/{name}", {**BARE, "content-type": "text/plain"}, "kept"),
            READ_BACK,
        ],
    ),
    "upload in parts": (
        ["uploadLarge", 91],
        [
            (
                "POST",
                "rest.fal.ai/storage/upload/initiate-multipart?storage_type=fal-cdn-v3",
                NODE,
                {"content_type": "application/octet-stream", "file_name": "{now}.octet"},
            ),
            *(
                ("PUT", f"v3.fal.media/uploads/{{name}}/{number}", BARE, size)
                for number, size in enumerate([*["10485760 bytes"] * 9, "1048576 bytes"], 1)
            ),
            (
                "POST",
                "v3.fal.media/uploads/{name}/complete",
                {**BARE, **JSON},
                {"parts": list(range(1, 11))},
            ),
            READ_BACK,
        ],
    ),
    "upload": (
        ["upload", "hello", "text/plain"],
        [
            (
                "POST",
                "rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
                NODE,
                {"content_type": "text/plain", "file_name": "hello.txt"},
            ),
            (
                "PUT",
                "v3.fal.media/uploads/{name}",
                {"accept": "*/*", "content-type": "text/plain", "user-agent": "node"},
                "hello",
            ),
            ("GET", "v3.fal.media/files/{name}", {"accept": "*/*", "user-agent": "node"}, ""),
        ],
    ),
}
