"""Completion in bash, zsh and fish: the scripts, and what may stand where the cursor is.

All three ask ``limner`` itself by typer's protocol for bash, so that they say the same. Imports the
endpoints or the ledger only when words of theirs are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from limner.cli.words import Fields

BASH = """# limner completion bash >> ~/.bashrc
_limner() {
    local IFS=$'\\n'
    COMPREPLY=( $( COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
                   _LIMNER_COMPLETE=complete_bash "$1" 2>/dev/null ) )
    [[ ${COMPREPLY[0]-} == *[=/@] ]] && compopt -o nospace
}
complete -o default -F _limner limner
"""

ZSH = """#compdef limner
# limner completion zsh > "${fpath[1]}/_limner"
_limner() {
    local -a found open
    found=( ${(f)"$( COMP_WORDS="${(pj:\\n:)words}" COMP_CWORD=$((CURRENT - 1)) \\
                     _LIMNER_COMPLETE=complete_bash $words[1] 2>/dev/null )"} )
    open=( ${(M)found:#*[=/@]} )
    found=( ${found:#*[=/@]} )
    (( $#open )) && compadd -Q -S '' -a open
    (( $#found )) && compadd -Q -a found
    (( $#open + $#found )) || _files
}
if [[ $funcstack[1] = _limner ]]; then _limner "$@"; else compdef _limner limner; fi
"""

FISH = """# limner completion fish > ~/.config/fish/completions/limner.fish
function __limner
    set -l words (string escape -- (commandline -opc)) (commandline -ct)
    COMP_WORDS=(string join \\n -- $words | string collect) \\
        COMP_CWORD=(math (count $words) - 1) _LIMNER_COMPLETE=complete_bash $words[1] 2>/dev/null
end
complete -c limner -a '(__limner)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

ENGINES = ("auto", "sketch", "diffusion")


def engine(incomplete: str) -> list[str]:
    """The engines' names."""
    return [name for name in ENGINES if name.startswith(incomplete)]


def state(incomplete: str) -> list[str]:
    """How a request may stand."""
    from limner.requests.register import STATES

    return [name for name in STATES if name.startswith(incomplete)]


def program(incomplete: str) -> list[str]:
    """What a caller may be written in."""
    from limner.cli.connect import Program

    return [name for name in Program if name.startswith(incomplete)]


def request_id(incomplete: str) -> list[str]:
    """The newest requests."""
    from limner.cli.house import open_ledger
    from limner.requests.register import Wanted
    from limner.settings import Settings

    with open_ledger(Settings()) as ledger:
        entries = ledger.search(Wanted(limit=100)).result()
    return [entry.id for entry in entries if entry.id.startswith(incomplete)]


def endpoint(incomplete: str) -> list[str]:
    """The endpoints, by their short names, or in full once a slash was written."""
    from limner.endpoints import ENDPOINTS

    names = [each.id if "/" in incomplete else each.alias for each in ENDPOINTS]
    return [name for name in names if name.startswith(incomplete)]


def word(ctx: typer.Context, incomplete: str) -> list[str]:
    """A field and ``=``; behind it what the field may be, or a file."""
    from limner.cli.run import find_endpoint
    from limner.cli.words import Fields
    from limner.errors import Misconfigured

    try:
        fields = Fields(find_endpoint(str(ctx.params.get("endpoint"))))
    except Misconfigured:
        return []
    before: list[Any] = list(ctx.params.get("words") or ())
    if before[-1:] == ["="] and len(before) > 1:
        # bash breaks a word at its =, and wants the last piece only.
        return [value for value in values(fields, str(before[-2])) if value.startswith(incomplete)]
    name, equals, text = incomplete.partition("=")
    if not equals:
        return [f"{field}=" for field in fields.properties if field.startswith(incomplete)]
    if name in fields.files and text.startswith("@"):
        return [f"{name}=@{path}" for path in paths(text[1:])]
    return [f"{name}={value}" for value in values(fields, name) if value.startswith(text)]


def values(fields: Fields, name: str) -> Iterator[str]:
    """What a field may be, where there are few such things."""
    if name not in fields.properties:
        return
    for branch in fields.branches(name):
        yield from map(str, branch.get("enum", ()))
        if branch.get("type") == "boolean":
            yield from ("true", "false")
    if name in fields.files:
        yield "@"


def paths(begun: str) -> list[str]:
    """The files and folders whose path begins so; hidden ones only if that was begun."""
    folder = begun[: begun.rfind("/") + 1]
    start = begun[len(folder) :]
    try:
        inside = sorted(Path(folder or ".").expanduser().iterdir())
    except OSError:
        return []
    return [
        f"{folder}{path.name}/" if path.is_dir() else f"{folder}{path.name}"
        for path in inside
        if path.name.startswith(start) and (start or not path.name.startswith("."))
    ]
