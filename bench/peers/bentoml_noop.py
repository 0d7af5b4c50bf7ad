"""BentoML with a model that answers what it was told: ``bentoml serve bentoml_noop:Noop``."""

import bentoml  # pyright: ignore[reportMissingImports]


@bentoml.service  # pyright: ignore
class Noop:
    """The model."""

    @bentoml.api  # pyright: ignore
    def predict(self, prompt: str) -> dict[str, str]:
        """The same."""
        return {"prompt": prompt}
