"""``python -m tests.faults``: rounds of twenty faults, for a night.

Each round has a seed of its own, printed before it begins: ``--kills 20 --seed N`` repeats it, with
the same ``--faults``, ``--ledger`` and ``--files``. ``--faults`` names groups of the vocabulary;
what cannot be had on this machine is left out, and said. Where ``kills`` is among them, the faults
that kill are counted; else all are.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.machine import Disk, WallClock
from tests.faults.mayhem import Mayhem
from tests.faults.vocabulary import GROUPS
from tests.faults.world import Plan

ROUND = 20


def main() -> int:
    """How many rounds went wrong, at most 1."""
    given = arguments().parse_args()
    unlike = {"disk": Disk.can, "clock": WallClock.can}
    groups = [each for each in given.faults if each not in unlike or unlike[each]()]
    if left_out := set(given.faults) - set(groups):
        say(f"not to be had here, and left out: {', '.join(sorted(left_out))}")
    failed = done = requests = 0
    came: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    for seed in range(given.seed, given.seed + -(-given.kills // ROUND)):
        say(f"seed {seed}: ", end="")
        home = Path(tempfile.mkdtemp(prefix=f"limner-mayhem-{seed}-"))
        plan = Plan(home, given.ledger, given.files, groups)
        mayhem = Mayhem(seed, min(ROUND, given.kills - done), plan, groups)
        began = time.monotonic()
        try:
            wrongs = mayhem.run().wrongs()
        except Exception as fault:  # noqa: BLE001 - the night goes on
            wrongs = [f"the round broke off: {fault!r}"]
        history = mayhem.history
        done += mayhem.done()
        requests += len(history.accounts)
        came.update(fault.name for fault in history.faults)
        codes.update(end.code for account in history.accounts for end in account.results[:1])
        say(
            f"{mayhem.done()} faults, {len(history.accounts)} requests, {mayhem.losses} losses,"
            f" {len(wrongs)} wrongs, {time.monotonic() - began:.0f} s"
        )
        if wrongs:
            failed += 1
            say("\n".join([f"  {wrong}" for wrong in wrongs] + [f"  kept: {home}"]))
        else:
            shutil.rmtree(home)
    say(", ".join(f"{name} {number}" for name, number in came.most_common()))
    say("outcomes: " + ", ".join(f"{code} {number}" for code, number in sorted(codes.items())))
    say(f"{done} faults, {requests} requests, {failed} rounds went wrong")
    return min(failed, 1)


def arguments() -> argparse.ArgumentParser:
    """What can be asked."""
    asked = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asked.add_argument("--kills", type=int, default=1000, help="faults in all (1000)")
    asked.add_argument("--seed", type=int, default=int(time.time()), help="of the first round")
    asked.add_argument(
        "--faults", nargs="+", choices=GROUPS, default=list(GROUPS), help="groups (all)"
    )
    asked.add_argument("--ledger", choices=["sqlite", "postgresql"], default="sqlite")
    asked.add_argument("--files", choices=["disk", "s3"], default="disk")
    return asked


def say(line: str, end: str = "\n") -> None:
    """To whoever watches."""
    print(line, end=end, flush=True)  # noqa: T201


sys.exit(main())
