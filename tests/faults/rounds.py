"""One round in a process of its own, so that what it leaves behind is nothing to the others.

``python -m tests.faults.rounds``, told the round in JSON on standard input, answers what came of it
in JSON. A wrong keeps the round's folder, and lies in it as ``wrongs``. Knows rounds; knows no
fault.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from tests.faults.mayhem import Mayhem
from tests.faults.world import Plan


@dataclass(frozen=True, slots=True)
class Round:
    """What is to be run."""

    seed: int
    faults: int
    ledger: str
    files: str
    groups: Sequence[str]


@dataclass(slots=True)
class Ended:
    """What came of a round, or of several."""

    seed: int
    #: What is kept of it, where something was wrong.
    home: str = ""
    faults: int = 0
    requests: int = 0
    losses: int = 0
    seconds: float = 0.0
    wrongs: list[str] = field(default_factory=list[str])
    came: Counter[str] = field(default_factory=Counter[str])
    #: First outcomes, by HTTP status.
    codes: Counter[str] = field(default_factory=Counter[str])

    def add(self, other: Ended) -> None:
        """Count another's as well."""
        self.faults += other.faults
        self.requests += other.requests
        self.losses += other.losses
        self.came.update(other.came)
        self.codes.update(other.codes)


def apart(wanted: Round) -> Ended:
    """Run it in a process of its own; that it breaks off is a wrong like others."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.rounds"],
        input=json.dumps(asdict(wanted)),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        told = json.loads(done.stdout)
        told |= {name: Counter(told[name]) for name in ("came", "codes")}
        return Ended(**told)
    except ValueError:
        why = f"the round's process ended with {done.returncode}: {done.stderr[-2000:]}"
        return Ended(wanted.seed, wrongs=[why])


def run(wanted: Round) -> Ended:
    """Run it here."""
    home = Path(tempfile.mkdtemp(prefix=f"limner-mayhem-{wanted.seed}-"))
    plan = Plan(home, wanted.ledger, wanted.files, wanted.groups)
    mayhem = Mayhem(wanted.seed, wanted.faults, plan, wanted.groups)
    ended = Ended(wanted.seed)
    began = time.monotonic()
    try:
        ended.wrongs = mayhem.run().wrongs()
    except Exception as fault:  # noqa: BLE001 - the night goes on
        ended.wrongs = [f"the round broke off: {fault!r}"]
    ended.seconds = time.monotonic() - began
    history = mayhem.history
    ended.faults, ended.requests, ended.losses = mayhem.done(), len(history.accounts), mayhem.losses
    ended.came = Counter(fault.name for fault in history.faults)
    ended.codes = Counter(f"{a.results[0].code}" for a in history.accounts if a.results)
    if ended.wrongs:
        ended.home = str(home)
        (home / "wrongs").write_text("\n".join(ended.wrongs))
    else:
        shutil.rmtree(home)
    return ended


if __name__ == "__main__":
    told = run(Round(**json.load(sys.stdin)))
    # asdict would take a Counter apart.
    json.dump({each.name: getattr(told, each.name) for each in fields(told)}, sys.stdout)
