"""LitServe with a model that answers what it was told: ``python litserve_noop.py PORT``."""

import sys
from typing import Any

import litserve  # pyright: ignore[reportMissingImports]


class Noop(litserve.LitAPI):  # pyright: ignore
    """The model."""

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def decode_request(self, request: dict[str, Any]) -> str:
        """The prompt."""
        return request["prompt"]

    def predict(self, x: str) -> str:
        """The same."""
        return x

    def encode_response(self, output: str) -> dict[str, str]:
        """As JSON."""
        return {"prompt": output}


if __name__ == "__main__":
    litserve.LitServer(Noop(), accelerator="cpu").run(  # pyright: ignore
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
