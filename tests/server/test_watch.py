"""Hearing what the bell rang for, however it meets the one who begins to listen."""

from __future__ import annotations

import asyncio
import threading

from limner.server.watch import LATEST, Watch


def heard_within(watch: Watch, topic: str, before: list[str], after: list[str]) -> bool:
    """Is ``topic`` heard at once, when the bell's thread rings before and after listening?"""

    async def listen() -> bool:
        watch.attach()
        ring(before)
        with watch.listen(topic) as listening:
            # Well below the half second after which it looks anyway.
            waiting = asyncio.ensure_future(listening.next())
            await asyncio.sleep(0)
            ring(after)
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            waiting.cancel()
            return bool(done)

    def ring(topics: list[str]) -> None:
        bell = threading.Thread(target=lambda: [watch.heard(topic) for topic in topics])
        bell.start()
        bell.join()

    return asyncio.run(listen())


def test_what_is_rung_while_one_listens_is_heard() -> None:
    assert heard_within(Watch(), "done:1", [], ["queued", "done:1"])
    assert not heard_within(Watch(), "done:1", [], ["queued", "done:2"])


def test_an_end_that_was_rung_a_moment_before_is_heard() -> None:
    """Between a submit and listening for its end, a worker may have ended it."""
    assert heard_within(Watch(), "done:1", ["done:1", "done:2"], [])
    assert not heard_within(Watch(), "done:1", ["done:2"], [])


def test_ends_of_long_ago_are_forgotten() -> None:
    many = [f"done:{number}" for number in range(2, LATEST + 2)]
    assert not heard_within(Watch(), "done:1", ["done:1", *many], [])
