"""``python -m tests.rig serve PORT [--tls] [--no-worker] [--hasty] | work | place``: Limner, the
metronome; ``place`` is ``limner work --ray`` with a short patience.

``--hasty``: receivers of webhooks get 2 s instead of up to 120, so that a delivery that a killed
server had under way is taken up by the next after 4 s instead of 150; and what a caller does not
want stored goes 3 s after it was ready instead of 60.
"""

import sys

from limner.cli.on_ray import Wishes, place
from limner.cli.serve import Listen, serve
from limner.cli.work import work
from limner.endpoints import ENDPOINTS
from limner.requests import lifecycle
from limner.server import webhooks
from tests.rig.metronome import METRONOME

RIG = (*ENDPOINTS, METRONOME)
HASTY = ("--hasty",) if "--hasty" in sys.argv else ()

if HASTY:
    lifecycle.UNSTORED_LIFE = 3.0
    webhooks.FIRST_TIMEOUT = webhooks.RETRY_TIMEOUT = 2.0
    webhooks.LEASE = 4.0

if sys.argv[1] == "serve":
    serve(
        Listen("127.0.0.1", int(sys.argv[2]), tls="--tls" in sys.argv),
        with_workers="--no-worker" not in sys.argv,
        endpoints=RIG,
        worker_command=(sys.executable, "-m", "tests.rig", "work", *HASTY),
    )
elif sys.argv[1] == "place":
    place(Wishes(RIG, patience=2.0, warm=False))
else:
    # Most tests' servers draw nothing with a network: opening them would only take their time.
    work(until_eof=True, endpoints=RIG, warm=False)
