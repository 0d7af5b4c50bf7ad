"""How fast Limner is, as multiples of a floor measured in the same run: ``python -m bench``."""
