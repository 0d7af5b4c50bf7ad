"""``python -m tests.rig serve PORT [--tls] [--no-worker] | work``: Limner and the metronome."""

import sys

from limner.cli.serve import Listen, serve
from limner.cli.work import work
from limner.endpoints import ENDPOINTS
from tests.rig.metronome import METRONOME

RIG = (*ENDPOINTS, METRONOME)

if sys.argv[1] == "serve":
    serve(
        Listen("127.0.0.1", int(sys.argv[2]), tls="--tls" in sys.argv),
        with_workers="--no-worker" not in sys.argv,
        endpoints=RIG,
        worker_command=(sys.executable, "-m", "tests.rig", "work"),
    )
else:
    # Most tests' servers draw nothing with a network: opening them would only take their time.
    work(until_eof=True, endpoints=RIG, warm=False)
