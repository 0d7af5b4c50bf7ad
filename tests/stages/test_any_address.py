"""Whatever a caller writes for an address, the door gives bytes or fal's typed problem."""

from __future__ import annotations

import base64
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limner.errors import FileDownloadError, FileTooLarge, InputProblem
from limner.files.disk import DiskStore
from limner.stages.fetch import Door
from limner.worker.pictures import own_file_reader

LIMIT = 64
MANY = settings(max_examples=300, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    """Nothing leaves the machine: every name leads to an address that is not allowed."""
    return Door(
        allow_private=False,
        max_bytes=LIMIT,
        timeout=5,
        own_file=own_file_reader(DiskStore(tmp_path_factory.mktemp("files"))),
        resolver=lambda *_: ["127.0.0.1"],
    )


@MANY
@given(
    start=st.sampled_from(["", "data:", "data:;base64,", "http://", "https://", "http://[", "//"]),
    rest=st.text(max_size=120),
)
@example(start="http://", rest="[::1/files/x")
@example(start="http://", rest="a:99999999/files/x")
@example(start="http://", rest="\ud800")
@example(start="data:", rest="," + "\u00e9")
@example(start="file:", rest="///etc/passwd")
def test_any_text_gives_bytes_or_a_typed_problem(door: Door, start: str, rest: str) -> None:
    try:
        content = door.read(start + rest)
    except InputProblem as problem:
        assert isinstance(problem, FileDownloadError | FileTooLarge)
        return
    assert start.startswith("data:") or rest.lower().startswith("data:")
    assert len(content) <= LIMIT


# Of a length that is drawn first: left to itself, hypothesis hardly makes one over the limit.
@MANY
@given(
    content=st.integers(0, 2 * LIMIT).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    plain=st.booleans(),
)
def test_a_data_uri_gives_back_what_was_put_in_up_to_the_limit(
    door: Door, content: bytes, plain: bool
) -> None:
    uri = (
        f"data:image/png,{quote_from_bytes(content)}"
        if plain
        else f"data:image/png;base64,{base64.b64encode(content).decode()}"
    )
    if len(content) <= LIMIT:
        assert door.read(uri) == content
        return
    with pytest.raises(FileTooLarge) as caught:
        door.read(uri)
    assert caught.value.ctx == {"max_size": LIMIT}
