"""Engines are opened once, in the background, and none stands in another's way."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from limner.endpoints.base import Workshop
from limner.errors import NetworkMissing
from limner.worker.engines import Engines
from tests.rig.metronome import METRONOME, Metronome
from tests.rig.process import eventually

#: What happens to the engines below while they open.
opened: list[str] = []
gate = threading.Event()


def open_slowly(_: Workshop) -> Metronome:
    opened.append("slow")
    assert gate.wait(30)
    return Metronome()


def open_never(_: Workshop) -> Metronome:
    opened.append("broken")
    raise NetworkMissing("nothing there")


def open_at_once(_: Workshop) -> Metronome:
    opened.append("quick")
    return Metronome()


BROKEN, SLOW, QUICK = (
    replace(METRONOME, id=f"limner/{name}", engines={"sketch": f"{__name__}:open_{how}"})
    for name, how in (("broken", "never"), ("slow", "slowly"), ("quick", "at_once"))
)


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    opened.clear()
    gate.clear()
    return Engines((BROKEN, SLOW, QUICK), "sketch", Workshop(tmp_path))


def test_a_broken_engine_does_not_keep_the_others_from_being_opened(engines: Engines) -> None:
    gate.set()
    engines.warm_up()
    eventually(lambda: opened == ["broken", "slow", "quick"])
    # It is met again, and told, by whoever needs it.
    with pytest.raises(NetworkMissing):
        engines.engine(BROKEN.id)


def test_a_request_does_not_wait_for_another_endpoints_engine(engines: Engines) -> None:
    engines.warm_up()
    eventually(lambda: "slow" in opened)
    assert engines.engine(QUICK.id).name == "sketch"
    gate.set()


def test_an_engine_is_opened_once_however_many_ask(engines: Engines) -> None:
    engines.warm_up()
    eventually(lambda: "slow" in opened)
    asking = [threading.Thread(target=engines.engine, args=(SLOW.id,)) for _ in range(4)]
    for thread in asking:
        thread.start()
    gate.set()
    for thread in asking:
        thread.join(30)
    assert opened.count("slow") == 1
    eventually(lambda: opened.count("quick") == 1)
