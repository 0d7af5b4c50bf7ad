"""A webhook receiver that is not always well: some first deliveries it refuses, some it drops.

The number of the request is in the path. Knows webhooks; knows no other part of a run.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults.history import End

#: Of this many requests, one's first delivery is answered 500, and another's not at all.
ILL = 5


class Receiver:
    """A real HTTP server; close it."""

    def __init__(self) -> None:
        #: By the request's number.
        self.delivered: defaultdict[int, list[End]] = defaultdict(list)
        self.spurned: defaultdict[int, list[End]] = defaultdict(list)
        receiver = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["content-length"])))
                number = int(self.path.rpartition("/")[2])
                end = End(time.monotonic(), 200 if said["status"] == "OK" else 0, said["payload"])
                first = not receiver.spurned[number]
                if first and number % ILL in (0, 1):
                    receiver.spurned[number].append(end)
                    if number % ILL == 1:
                        return  # without an answer: the connection ends
                    self.send_response(500)
                else:
                    receiver.delivered[number].append(end)
                    self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    return  # the server was killed while it delivered

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver")
        self._thread.start()

    def url(self, number: int) -> str:
        """Where the webhook of a request goes."""
        return f"http://127.0.0.1:{self._server.server_port}/{number}"

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
