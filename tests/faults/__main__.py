"""``python -m tests.faults``: rounds of twenty faults, for a night; it goes on when one goes wrong.

Each round has a seed of its own, told with what came of it: ``--kills 20 --seed N`` repeats it,
with the same ``--faults``, ``--ledger`` and ``--files``. ``--faults`` names groups of faults; what
cannot be had on this machine is left out, and said. Where ``kills`` is among them, the faults that
kill are counted; else all are.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.faults.machine import Disk, WallClock
from tests.faults.rounds import Ended, Round, apart
from tests.faults.vocabulary import GROUPS

#: Faults in a round.
ROUND = 20

#: Wrongs of one round that are printed; one request that is lost makes many.
SHOWN = 10


def main() -> int:
    """How many rounds went wrong, at most 1."""
    given = arguments().parse_args()
    unlike = {"disk": Disk.can, "clock": WallClock.can}
    groups = [each for each in given.faults if each not in unlike or unlike[each]()]
    if left_out := set(given.faults) - set(groups):
        say(f"not to be had here, and left out: {', '.join(sorted(left_out))}")
    rounds = [
        Round(
            given.seed + n, min(ROUND, given.kills - n * ROUND), given.ledger, given.files, groups
        )
        for n in range(-(-given.kills // ROUND))
    ]
    say(f"{len(rounds)} rounds, seeds from {given.seed}, {given.beside} at once")
    began = time.monotonic()
    total, failed = Ended(given.seed), 0
    with ThreadPoolExecutor(given.beside) as pool:
        for number, answered in enumerate(as_completed(pool.submit(apart, r) for r in rounds), 1):
            ended = answered.result()
            tell(ended)
            total.add(ended)
            failed += bool(ended.wrongs)
            say(
                f"  {number} of {len(rounds)} rounds: {total.faults} faults, {total.requests}"
                f" requests, {total.losses} losses, {failed} rounds went wrong,"
                f" {(time.monotonic() - began) / 60:.0f} min"
            )
    say(", ".join(f"{name} {number}" for name, number in total.came.most_common()))
    say("outcomes: " + ", ".join(f"{code} {n}" for code, n in sorted(total.codes.items())))
    return min(failed, 1)


def tell(ended: Ended) -> None:
    """A round, for whoever watches."""
    say(
        f"seed {ended.seed}: {ended.faults} faults, {ended.requests} requests,"
        f" {ended.losses} losses, {len(ended.wrongs)} wrongs, {ended.seconds:.0f} s"
    )
    for wrong in ended.wrongs[:SHOWN]:
        say(f"  WRONG {wrong}")
    if ended.wrongs:
        say(f"  kept, with all that was wrong: {ended.home}")


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
    asked.add_argument("--beside", type=int, default=1, help="rounds run side by side (1)")
    return asked


def say(line: str) -> None:
    """To whoever watches."""
    print(line, flush=True)  # noqa: T201


sys.exit(main())
