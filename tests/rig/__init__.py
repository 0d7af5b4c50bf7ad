"""A real Limner in real processes for tests, with an endpoint whose every step they control."""
