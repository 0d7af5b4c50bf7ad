"""The sketch engine: small real networks from ordinary packages; no torch."""
