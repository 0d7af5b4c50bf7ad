"""How the command answers the shell: its exit codes, and what it says of words it does not know.

Knows typer; knows no command. Imports nothing that ``limner --help`` would wait for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

#: What tells that a shell asks for completions (``limner.cli.completion``).
VARIABLE = "_LIMNER_COMPLETE"

PROGRAM = "limner"


class ExitCode(IntEnum):
    """What a command's end says to the shell; ``limner --help`` lists them."""

    WELL = 0
    CALLER = 1  #: What was asked cannot be done as asked.
    USAGE = 2  #: The command line or a setting is not as it should be.
    OURS = 3  #: Nobody did anything wrong but we could not, or no engine can draw here.
    INTERRUPTED = 130  #: Ctrl-C, as shells count it: 128 + SIGINT.


def complain(text: str) -> None:
    """Tell people on standard error, each line with who says it."""
    for line in text.splitlines():
        typer.echo(f"limner: {line}", err=True)


class Commands(TyperGroup):
    """A group of commands whose faults are told in a line, never as a stack trace."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """See TyperGroup; this is where the group's own options are read."""
        with reworded():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """See TyperGroup; this is where the command's options are read."""
        with reworded():
            return super().invoke(ctx)

    def main(self, *args: Any, **extra: Any) -> Any:
        """See TyperGroup. Ends the process with an ExitCode."""
        extra["prog_name"] = PROGRAM  # also when it is `python -m limner`
        if VARIABLE in os.environ:
            from typer.completion import completion_init  # pyright: ignore[reportPrivateImportUsage]

            completion_init()
        try:
            return super().main(*args, **extra)
        except Exception as fault:
            code = told(fault)
            if code is None:
                raise
            sys.exit(code)


@contextmanager
def reworded() -> Generator[None]:
    """Say "did you mean" of an unknown option as of everything else."""
    try:
        yield
    except TyperException as refusal:
        if possibilities := vars(refusal).get("possibilities"):
            near = " or ".join(sorted(possibilities))
            refusal.message = f"{refusal.message}. Did you mean {near}?"
            vars(refusal)["possibilities"] = None
        raise


def spelled(fault: Exception) -> str:
    """What a person reads of a fault: a line for each field that it names, beginning with it."""
    from limner.errors import InputProblem, InvalidInput

    if isinstance(fault, InputProblem):
        return f"{_field(fault.loc)}{fault.msg}"
    if isinstance(fault, InvalidInput):
        return "\n".join(_entry(entry) for entry in fault.entries)
    return str(fault)


def _field(loc: Sequence[object]) -> str:
    """The field's name as fal places it, without the ``body`` in front of everything."""
    return ".".join(str(part) for part in loc[1:]) + ": " if len(loc) > 1 else ""


def _entry(entry: Mapping[str, Any]) -> str:
    line = f"{_field(entry['loc'])}{entry['msg']}"
    if entry["type"] == "missing":
        return f"{line}; write {entry['loc'][-1]}=…"
    return f"{line}, not {entry['input']!r}" if "input" in entry else line


def told(fault: Exception) -> ExitCode | None:
    """Say what went wrong, if it is told on purpose; the code to end with, or None."""
    from limner.errors import CallersFault, LimnerError, Misconfigured

    match fault:
        case LimnerError():
            complain(spelled(fault))
            if isinstance(fault, Misconfigured):
                return ExitCode.USAGE
            return ExitCode.CALLER if isinstance(fault, CallersFault) else ExitCode.OURS
        case OSError(filename=str() as name, strerror=str() as problem):
            complain(f"{name}: {problem}")
            return ExitCode.OURS
        case _:
            return None
