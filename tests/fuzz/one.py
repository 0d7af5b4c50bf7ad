"""``python -m tests.fuzz.one PARSER [libFuzzer's words]``: one parser under atheris."""

from __future__ import annotations

import sys
import warnings

import atheris  # pyright: ignore

with atheris.instrument_imports(  # pyright: ignore
    include=["limner", "PIL", "zipfile", "msgpack", "jwt", "httpx2", "tomllib"]
):
    from tests.fuzz.parsers import PARSERS

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, PARSERS[name])  # pyright: ignore
    atheris.Fuzz()  # pyright: ignore
