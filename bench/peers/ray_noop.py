"""Ray Serve with a model that answers what it was told: ``python ray_noop.py PORT``."""

import signal
import sys
from typing import Any

from ray import serve  # pyright: ignore


@serve.deployment(max_ongoing_requests=100)  # pyright: ignore
class Noop:
    """The model."""

    async def __call__(self, request: Any) -> dict[str, str]:
        """The same."""
        return {"prompt": (await request.json())["prompt"]}


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})  # pyright: ignore
    serve.run(Noop.bind(), route_prefix="/predict")  # pyright: ignore
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()  # pyright: ignore
