"""A bucket that does not answer: callers are told so, and never that what is there is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.line import Line, Trouble
from tests.rig.process import Server
from tests.rig.s3 import S3
from tests.server.test_desk_files import FILES, names, sent_by_javascript

#: S3's own fault, whatever it is asked.
FAILING = Trouble(
    answer=b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


@pytest.fixture
def line(s3: S3) -> Iterator[Line]:
    """Between the server and S3."""
    with closing(Line(s3.port)) as line:
        yield line


@pytest.fixture
def far(tmp_path: Path, s3: S3, line: Line) -> Iterator[Server]:
    """A server whose files lie at the other end of the line."""
    where = f"s3://{s3.new_bucket()}/pictures"
    env = {**s3.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{line.port}"}
    running = Server(tmp_path / "home", env={**env, "LIMNER_FILES_URL": where}, workers=False)
    yield running
    running.stop()


def test_a_file_that_cannot_be_deleted_now_is_not_said_to_be(far: Server, line: Line) -> None:
    url = sent_by_javascript(far, {}, b"the bytes of a face").removeprefix(far.base)
    one = f"{FILES}/{url.rpartition('/')[2]}"
    sent_by_javascript(far, {}, b"of another")
    for trouble in (Trouble(refuse=True), FAILING):
        with line.troubled(trouble):
            line.drop()
            for method, path in (("DELETE", one), ("DELETE", FILES), ("GET", url)):
                answer = far.call(method, path)
                assert answer.status_code == 503
                assert answer.json()["detail"].startswith("The file store does not answer")
                # wire.md 4.4: so a client of fal's tries again by itself.
                assert answer.headers["x-fal-retryable"] == "true"
                assert int(answer.headers["retry-after"]) > 0
        assert far.get(url).content == b"the bytes of a face"
    assert far.call("DELETE", one).json() == {"deleted": 1, "bytes": 19}
    assert far.get(url).status_code == 404
    assert far.call("DELETE", FILES).json() == {"deleted": 1, "bytes": 10}
    assert names(far, {}) == []
