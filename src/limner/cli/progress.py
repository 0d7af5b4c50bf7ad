"""A drawing's progress on standard error: a bar for people, lines of what went wrong for all.

Knows rich; knows no endpoint.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from limner.endpoints.base import Step


class Telling:
    """Use it in a ``with``; the bar is there only where a person can see it."""

    def __init__(self, total: int) -> None:
        """``total``: how many drawings there will be."""
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}", style="dim", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._all = self._bars.add_task("all", total=total, step="") if total > 1 else None
        self._one = self._bars.add_task("", total=1.0, step="opening the engine")
        self._name = ""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def aside(self) -> Generator[None]:
        """Nothing on standard error for as long as something is put on standard output."""
        self._bars.stop()
        yield
        self._bars.start()

    def begin(self, name: str) -> None:
        """A drawing begins."""
        self._name = name
        self._bars.reset(self._one, description=name, step="")

    def step(self, step: Step) -> None:
        """One thing was done; a warning stays to be read."""
        self._bars.update(self._one, step=step.message)
        if step.progress is not None:
            self._bars.update(self._one, completed=step.progress)
        if step.level in ("WARN", "ERROR"):
            self.say(f"{self._name}: {step.message}")

    def end(self) -> None:
        """The drawing has ended, one way or another."""
        if self._all is not None:
            self._bars.advance(self._all)

    def say(self, text: str) -> None:
        """Lines that stay, above the bar."""
        for line in text.splitlines():
            self._console.print(f"limner: {line}")
