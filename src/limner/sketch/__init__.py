"""The sketch engine: it draws with small real networks from ordinary packages, without torch."""
