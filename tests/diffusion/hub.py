"""A small server that speaks the part of the hub's API that its client uses to fetch files.

HEAD and GET of ``/<owner>/<name>/resolve/<revision>/<path>``, with ranges, ETags (the sha256 for
large files, as for LFS) and the commit's header. It can cut a connection, lie, and refuse.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Serves ``root/<owner>/<name>/<path>``; the other fields are how it misbehaves."""

    root: Path
    #: Path → HTTP status and error code; status 0 says nothing at all.
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    #: Paths whose next GET ends after half of what is left.
    cut: set[str] = field(default_factory=set[str])
    #: Paths of which other bytes are sent than the ETag promises.
    lie: set[str] = field(default_factory=set[str])
    #: Path → what is waited for in the middle of its next GET.
    held: dict[str, threading.Event] = field(default_factory=dict[str, threading.Event])
    #: The commit that every branch is, and folders of other commits that differ.
    commit: str = COMMIT
    before: dict[str, Path] = field(default_factory=dict[str, Path])
    #: (method, path, Range, Authorization) of every request.
    seen: list[tuple[str, str, str | None, str | None]] = field(
        default_factory=list[tuple[str, str, str | None, str | None]]
    )

    def __enter__(self) -> Hub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def gets(self, name: str) -> list[str | None]:
        """The ranges of all GETs of files whose path ends so."""
        return [span for how, path, span, _ in self.seen if how == "GET" and path.endswith(name)]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, *, body: bool) -> None:
                owner, name, *parts = unquote(urlsplit(self.path).path).strip("/").split("/")
                if parts[:1] != ["resolve"]:
                    return self._refused(404, "")
                revision, parts = parts[1], parts[2:]
                commit = revision if len(revision) == 40 else hub.commit
                root = hub.before.get(commit, hub.root)
                path = "/".join(parts)
                span, token = self.headers.get("Range"), self.headers.get("Authorization")
                hub.seen.append((self.command, path, span, token))
                file = root / owner / name / path
                if path in hub.refuse:
                    status, code = hub.refuse[path]
                    if not status:
                        self.close_connection = True
                        return None
                    return self._refused(status, code)
                if not file.is_file():
                    known = file.parents[len(parts) - 1].is_dir()
                    return self._refused(404, "EntryNotFound" if known else "RepoNotFound")
                content = file.read_bytes()
                etag = hashlib.sha256(content).hexdigest()
                if path in hub.lie:
                    content = bytes(len(content))
                start = int(span[6:].rstrip("-")) if span else 0
                rest = content[start:]
                self.send_response(206 if span else 200)
                self.send_header("ETag", f'"{etag}"')
                self.send_header("X-Repo-Commit", commit)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(rest)))
                if span:
                    whole = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    self.send_header("Content-Range", whole)
                self.end_headers()
                if not body:
                    return None
                if path in hub.cut:
                    hub.cut.remove(path)
                    rest = rest[: len(rest) // 2]
                    self.close_connection = True
                if path in hub.held:
                    middle = len(rest) // 2
                    self.wfile.write(rest[:middle])
                    hub.held.pop(path).wait(60)
                    rest = rest[middle:]
                self.wfile.write(rest)
                return None

            def _refused(self, status: int, code: str) -> None:
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()

        return Handler
