"""Cog with a model that answers what it was told: ``python -m cog.server.http`` in this folder."""

from cog import BasePredictor  # pyright: ignore


class Predictor(BasePredictor):  # pyright: ignore
    """The model."""

    async def predict(self, prompt: str) -> str:
        """The same."""
        return prompt
