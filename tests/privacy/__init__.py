"""Searching every byte that Limner leaves behind for what it was told to forget."""
