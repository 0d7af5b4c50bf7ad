"""fal's API and nothing else. Never imports a network's runtime."""
