"""What the tests of the stages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stages.hostile import Hostile


@pytest.fixture
def host() -> Iterator[Hostile]:
    listening = Hostile()
    yield listening
    listening.close()
