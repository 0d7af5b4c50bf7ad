"""``python -m tests.fuzz [--seconds N] [PARSER …]``: coverage-guided, by atheris (``make fuzz``).

Each parser runs in a process of its own for N seconds, beginning at ``tests/corpus``. What makes it
fail is left in ``.fuzz/``; what is new to it and worth keeping goes, made small, into the corpus by
hand. Knows atheris; knows no parser.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"
FOUND = ROOT / ".fuzz"


def main() -> int:
    """Exit code 1 when a parser raised what it must not."""
    from tests.fuzz.parsers import PARSERS

    said = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    said.add_argument("--seconds", type=int, default=60, help="for each parser")
    said.add_argument("parser", nargs="*", default=list(PARSERS))
    asked = said.parse_args()
    failed: list[str] = []
    for name in asked.parser:
        grown = FOUND / name
        grown.mkdir(parents=True, exist_ok=True)
        words = [f"-max_total_time={asked.seconds}", f"-artifact_prefix={grown}/failed-"]
        words += ["-rss_limit_mb=2048", "-timeout=10", "-max_len=20000", "-verbosity=0"]
        command = [sys.executable, "-m", "tests.fuzz.one", name, *words, grown, CORPUS / name]
        ended = subprocess.run([str(word) for word in command], cwd=ROOT, check=False)
        sys.stderr.write(f"{name}: {'ok' if ended.returncode == 0 else 'FAILED'}\n")
        failed += [name] if ended.returncode else []
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
