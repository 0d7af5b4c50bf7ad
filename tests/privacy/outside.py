"""What lies outside of Limner: a host that has photos, and takes webhooks.

Knows HTTP; knows nothing of requests.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Outside:
    """A web server on loopback; close it."""

    def __init__(self) -> None:
        #: What lies under which path.
        self.photos: dict[str, bytes] = {}
        self.hooks: list[bytes] = []
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(outside.photos[self.path])

            def do_POST(self) -> None:
                outside.hooks.append(self.rfile.read(int(self.headers["content-length"])))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
