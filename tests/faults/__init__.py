"""Limner under random faults, and the proof from what its clients saw that nothing went wrong."""
