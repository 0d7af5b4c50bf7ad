"""``python -m tests.faults [--kills 1000] [--seed N]``: rounds of twenty kills, for a night.

Each round has a seed of its own, printed before it begins: ``--kills 20 --seed N`` repeats it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.mayhem import Mayhem

ROUND = 20


def main() -> int:
    """How many rounds went wrong, at most 1."""
    asked = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    asked.add_argument("--kills", type=int, default=1000)
    asked.add_argument("--seed", type=int, default=int(time.time()))
    given = asked.parse_args()
    failed = killed = requests = 0
    for seed in range(given.seed, given.seed + -(-given.kills // ROUND)):
        print(f"seed {seed}: ", end="", flush=True)  # noqa: T201
        home = Path(tempfile.mkdtemp(prefix=f"limner-mayhem-{seed}-"))
        kills = min(ROUND, given.kills - killed)
        mayhem = Mayhem(seed, kills, home)
        try:
            wrongs = mayhem.run().wrongs()
        except Exception as fault:  # noqa: BLE001 - the night goes on
            wrongs = [f"the round broke off: {fault!r}"]
        killed += kills
        requests += len(mayhem.history.accounts)
        print(f"{kills} kills, {len(mayhem.history.accounts)} requests, {len(wrongs)} wrongs")  # noqa: T201
        if wrongs:
            failed += 1
            print("\n".join([f"  {wrong}" for wrong in wrongs] + [f"  kept: {home}"]))  # noqa: T201
        else:
            shutil.rmtree(home)
    print(f"{killed} kills, {requests} requests, {failed} rounds went wrong")  # noqa: T201
    return min(failed, 1)


sys.exit(main())
